#include "tools/lathe/Classify.h"

#include <set>

namespace lathe::tool {

std::string decayText(const Plan& plan, const Recurrence& recurrence) {
  std::set<std::string> kinds;
  for (int log : recurrence.logDecays) {
    const Node& node = plan.nodes[log];
    kinds.insert(node.dims.empty() ? "scalar decay" : "decay over " + node.dims.front());
  }
  std::string text;
  for (const std::string& kind : kinds)
    text += (text.empty() ? "" : " and ") + kind;
  return text.empty() ? "no decay" : text;
}

std::string classify(const Plan& plan) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& operand = plan.operands[i];
    if (operand.kind != Operand::Kind::state)
      continue;
    if (plan.scan && i == plan.scan->normaliser) {
      add("normaliser " + operand.name);
      continue;
    }
    const Node& update = plan.nodes[operand.value];
    if (update.kind != Node::Kind::affine) {
      add(operand.name + " has no normal form");
      continue;
    }
    const Recurrence& recurrence = plan.recurrences[update.affine];
    const std::size_t terms = recurrence.rank1.size();
    add(decayText(plan, recurrence) + (operand.reverse ? " in reverse" : ""));
    if (terms > 0)
      add(std::to_string(terms) + " rank-1 term" + (terms > 1 ? "s" : ""));
  }
  add(plan.scan ? "scan" : plan.noKernel.empty() ? "sequential on the GPU" : "no GPU kernel yet");
  return text;
}

}  // namespace lathe::tool
