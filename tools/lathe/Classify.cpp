#include "tools/lathe/Classify.h"

#include <algorithm>
#include <set>
#include <vector>

namespace lathe::tool {

namespace {

/// Whether a state is the running maximum that `stabilise` adds beside those of an exponential
/// gate. No name in a spec has a dot.
bool isRunningMaximum(const Operand& operand) {
  return operand.kind == Operand::Kind::state && operand.name.ends_with(".log_scale");
}

/// Whether a log-decay is the change of a running maximum, which a spec does not show.
bool isRescaling(const Plan& plan, const Node& logDecay) {
  if (logDecay.kind != Node::Kind::map || logDecay.op != Op::subtract)
    return false;
  const Node& before = plan.nodes[logDecay.args[0]];
  return before.kind == Node::Kind::state && isRunningMaximum(plan.operands[before.operand]);
}

/// The normal form of the state at an operand, or null.
const Recurrence* recurrenceOf(const Plan& plan, const Operand& operand) {
  if (operand.kind != Operand::Kind::state)
    return nullptr;
  const Node& update = plan.nodes[operand.value];
  return update.kind == Node::Kind::affine ? &plan.recurrences[update.affine] : nullptr;
}

/// Whether `sums` adds, with the same decay, the keys of the matrix state of `recurrence`.
bool isNormaliserOf(const Plan& plan, const Recurrence& sums, const Recurrence& recurrence) {
  const Operand &vector = plan.operands[sums.state], &matrix = plan.operands[recurrence.state];
  if (vector.dims.size() != 1 || matrix.dims.size() != 2 || vector.reverse != matrix.reverse)
    return false;
  if (!sums.rank1.empty() || sums.outer.size() != 1 || sums.logDecays != recurrence.logDecays)
    return false;
  const Node& one = plan.nodes[sums.outer[0].value];
  return one.kind == Node::Kind::constant && one.value == 1 &&
         std::any_of(recurrence.outer.begin(), recurrence.outer.end(),
                     [&](const auto& outer) { return outer.key == sums.outer[0].key; });
}

bool isNormaliser(const Plan& plan, const Recurrence& sums) {
  return std::any_of(plan.operands.begin(), plan.operands.end(), [&](const Operand& operand) {
    const Recurrence* recurrence = recurrenceOf(plan, operand);
    return recurrence && isNormaliserOf(plan, sums, *recurrence);
  });
}

std::string textOf(const Plan& plan, const Operand& state) {
  if (isRunningMaximum(state))
    return "exponential gate";
  const Recurrence* recurrence = recurrenceOf(plan, state);
  if (!recurrence)
    return state.name + " has no normal form";
  if (isNormaliser(plan, *recurrence))
    return "normaliser " + state.name;
  const std::size_t terms = recurrence->rank1.size();
  std::string text = decayText(plan, *recurrence);
  if (terms > 0)
    text += ", " + std::to_string(terms) + " rank-1 term" + (terms > 1 ? "s" : "");
  return text + (state.reverse ? " in reverse" : "");
}

}  // namespace

std::string decayText(const Plan& plan, const Recurrence& recurrence) {
  std::set<std::string> kinds;
  for (int log : recurrence.logDecays) {
    const Node& node = plan.nodes[log];
    if (isRescaling(plan, node))
      continue;
    kinds.insert(node.dims.empty() ? "scalar decay" : "decay over " + node.dims.front());
  }
  std::string text;
  for (const std::string& kind : kinds)
    text += (text.empty() ? "" : " and ") + kind;
  return text.empty() ? "no decay" : text;
}

std::string classify(const Plan& plan) {
  std::vector<std::string> parts;
  for (const Operand& operand : plan.operands) {
    if (operand.kind != Operand::Kind::state)
      continue;
    const std::string part = textOf(plan, operand);
    if (std::find(parts.begin(), parts.end(), part) == parts.end())
      parts.push_back(part);
  }
  std::string text;
  for (const std::string& part : parts)
    text += part + ", ";
  return text + (plan.scan               ? "scan"
                 : plan.noKernel.empty() ? "sequential on the GPU"
                                         : "no GPU kernel yet");
}

}  // namespace lathe::tool
