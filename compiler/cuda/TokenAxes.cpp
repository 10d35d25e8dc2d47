#include "compiler/cuda/Families.h"

#include <algorithm>

namespace lathe::cuda {

/// What no layout of the state in registers alone makes up for; empty where there is none.
static std::string refusalOf(const Plan& plan) {
  for (const Operand& operand : plan.operands)
    if (operand.reverse)
      return "the state " + operand.name + " goes in reverse";
  for (const Node& node : plan.nodes) {
    if (node.kind == Node::Kind::taylor)
      return "it forms Taylor features";
    if (node.kind == Node::Kind::index || node.kind == Node::Kind::rotate)
      return "it turns pairs of elements by their position";
  }
  return "";
}

TokenAxes tokenAxes(const Plan& plan, const Analysis& analysis) {
  if (std::string refusal = refusalOf(plan); !refusal.empty())
    return {{}, refusal};
  std::set<std::string> summed, all;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = plan.nodes[i];
    if (!analysis.stateDependent(int(i)))
      continue;
    all.insert(node.dims.begin(), node.dims.end());
    if (node.kind == Node::Kind::sum || node.kind == Node::Kind::max ||
        node.kind == Node::Kind::contract)
      summed.insert(node.name);
  }
  for (const Recurrence& recurrence : plan.recurrences)
    if (!recurrence.rank1.empty())
      summed.insert(recurrence.key);
  if (summed.size() > 1)
    return {{},
            "it sums over " + *summed.begin() + " and over " + *summed.rbegin() +
                " what depends on the state, and a thread block holds all of one of them only"};
  all.insert(summed.begin(), summed.end());
  if (all.size() > 2)
    return {{}, "its states span more than two dimensions"};
  Axes axes;
  for (const std::string& dim : plan.dims)
    if (all.count(dim) && (summed.empty() ? axes.key.empty() : summed.count(dim) == 1))
      axes.key = dim;
  for (const std::string& dim : plan.dims)
    if (all.count(dim) && dim != axes.key)
      axes.value = dim;
  return {axes, ""};
}

}  // namespace lathe::cuda
