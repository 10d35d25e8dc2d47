#include "compiler/cuda/Graph.h"

#include <algorithm>

namespace lathe::cuda {

bool has(const Dims& dims, const std::string& dim) {
  return std::find(dims.begin(), dims.end(), dim) != dims.end();
}

Dims Value::space() const {
  Dims all = dims;
  if (isReduction())
    all.push_back(name);
  return all;
}

Graph::Graph(const Plan& plan) : plan(plan) {
  for (const Node& node : plan.nodes)
    lowered.push_back(lower(node));
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& operand = plan.operands[i];
    if (operand.kind == Operand::Kind::output)
      outputs[i] = lowered[operand.value];
    else if (operand.kind == Operand::Kind::state)
      carried[i] = add({.kind = Node::Kind::map,
                        .args = {lowered[operand.value]},
                        .dims = operand.dims,
                        .name = operand.name});
  }
}

int Graph::carrierOf(int value) const {
  for (auto [state, carrier] : carried)
    if (carrier == value)
      return state;
  return -1;
}

std::set<std::string> Graph::mixed() const {
  std::set<std::string> dims;
  for (const Value& value : values)
    if (value.isReduction() || value.isFeature()) {
      dims.insert(value.name);
      if (value.kind == Node::Kind::taylor)
        dims.insert(value.dims.begin(), value.dims.end());
      if (value.kind == Node::Kind::taylorAdjoint)
        dims.insert(values[value.args[1]].dims.begin(), values[value.args[1]].dims.end());
    }
  return dims;
}

int Graph::add(Value value) {
  using Kind = Node::Kind;
  bool same = value.kind == Kind::constant || value.kind == Kind::override_ ||
              value.kind == Kind::dimension ||
              (value.isMap() && std::all_of(value.args.begin(), value.args.end(),
                                            [&](int arg) { return bool(uniform[arg]); }));
  std::set<int> from;
  for (int arg : value.args)
    from.insert(states[arg].begin(), states[arg].end());
  if (value.kind == Kind::state)
    from.insert(value.operand);
  for (int i = 0; i < int(values.size()); ++i)
    if (values[i] == value)
      return i;
  uniform.push_back(same);
  states.push_back(std::move(from));
  values.push_back(std::move(value));
  return int(values.size()) - 1;
}

int Graph::map(Op op, std::vector<int> args, Dims dims) {
  return add({.kind = Node::Kind::map, .op = op, .args = std::move(args), .dims = std::move(dims)});
}

int Graph::lower(const Node& node) {
  if (node.kind == Node::Kind::affine)
    return lowerRecurrence(plan.recurrences[node.affine], lowered[node.args.at(0)]);
  Value value{node.kind, node.op, {}, node.dims, node.name, node.value, node.operand};
  if (node.kind != Node::Kind::override_)
    for (int arg : node.args)
      value.args.push_back(lowered[arg]);
  return add(std::move(value));
}

int Graph::lowerRecurrence(const Recurrence& recurrence, int state) {
  const Dims dims = values[state].dims;
  // Log-decays of the same dimensions are added up before the exponential is taken of them.
  std::map<Dims, int> logDecays;
  for (int node : recurrence.logDecays) {
    int decay = lowered[node];
    auto [found, isNew] = logDecays.try_emplace(values[decay].dims, decay);
    if (!isNew)
      found->second = map(Op::add, {found->second, decay}, values[decay].dims);
  }
  int sum = state;
  for (const auto& [over, logDecay] : logDecays)
    sum = map(Op::multiply, {map(Op::exp, {logDecay}, over), sum}, dims);
  for (const Recurrence::Rank1& term : recurrence.rank1) {
    int left = lowered[term.left], right = lowered[term.right];
    Dims rest = dims;
    std::erase(rest, recurrence.key);
    int read = recurrence.key.empty() ? map(Op::multiply, {right, state}, dims)
                                      : add({.kind = Node::Kind::contract,
                                             .args = {right, state},
                                             .dims = rest,
                                             .name = recurrence.key});
    sum = map(Op::add, {sum, map(Op::multiply, {left, read}, dims)}, dims);
  }
  for (const Recurrence::Outer& term : recurrence.outer)
    sum = map(Op::add, {sum, map(Op::multiply, {lowered[term.key], lowered[term.value]}, dims)},
              dims);
  return sum;
}

}  // namespace lathe::cuda
