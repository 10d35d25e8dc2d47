#include "compiler/cuda/Program.h"

namespace lathe::cuda {

Analysis::Analysis(const Plan& plan) : plan(plan) {
  size_t count = plan.nodes.size();
  dependent.resize(count);
  same.resize(count);
  plain.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const Node& node = plan.nodes[i];
    dependent[i] = node.kind == Node::Kind::state || node.kind == Node::Kind::affine;
    bool leafUniform = node.kind == Node::Kind::constant || node.kind == Node::Kind::override_ ||
                       node.kind == Node::Kind::dimension;
    same[i] = leafUniform;
    plain[i] = node.dims.empty() && (leafUniform || node.kind == Node::Kind::operand ||
                                     node.kind == Node::Kind::position);
    if (node.kind == Node::Kind::override_)
      continue;
    bool all = node.kind == Node::Kind::map && !node.args.empty(),
         allPlain = all && node.dims.empty();
    for (int arg : node.args) {
      dependent[i] |= dependent[arg];
      all &= bool(same[arg]);
      allPlain &= bool(plain[arg]);
    }
    same[i] |= all;
    plain[i] |= allPlain;
  }
}

std::set<int> Analysis::closure(const std::vector<int>& roots,
                                const std::function<bool(int)>& stop) const {
  std::set<int> result;
  std::vector<int> work = roots;
  while (!work.empty()) {
    int node = work.back();
    work.pop_back();
    if (!result.insert(node).second || stop(node))
      continue;
    if (plan.nodes[node].kind == Node::Kind::override_)
      continue;
    for (int arg : plan.nodes[node].args)
      work.push_back(arg);
    if (plan.nodes[node].kind == Node::Kind::affine) {
      const Recurrence& r = plan.recurrences[plan.nodes[node].affine];
      work.push_back(plan.nodes[node].args.empty() ? node : plan.nodes[node].args[0]);
      work.insert(work.end(), r.logDecays.begin(), r.logDecays.end());
      for (auto& term : r.rank1)
        work.insert(work.end(), {term.left, term.right});
      for (auto& term : r.outer)
        work.insert(work.end(), {term.key, term.value});
    }
  }
  return result;
}

}  // namespace lathe::cuda
