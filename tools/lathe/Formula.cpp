#include "tools/lathe/Formula.h"

#include "tools/lathe/Number.h"

#include <algorithm>

namespace lathe::tool {

namespace {

/// The nodes that a node needs: its operands, or of a state's update the parts of its recurrence.
std::vector<int> childrenOf(const Plan& plan, const Node& node) {
  if (node.kind != Node::Kind::affine)
    return node.args;
  const Recurrence& recurrence = plan.recurrences[node.affine];
  std::vector<int> children = recurrence.logDecays;
  for (const Recurrence::Rank1& term : recurrence.rank1)
    children.insert(children.end(), {term.left, term.right});
  for (const Recurrence::Outer& term : recurrence.outer)
    children.insert(children.end(), {term.key, term.value});
  return children;
}

bool isComputed(const Node& node) {
  return node.kind == Node::Kind::map || node.kind == Node::Kind::sum ||
         node.kind == Node::Kind::max || node.kind == Node::Kind::contract ||
         node.kind == Node::Kind::rotate || node.kind == Node::Kind::taylor ||
         node.kind == Node::Kind::taylorAdjoint;
}

bool isOne(const Node& node) { return node.kind == Node::Kind::constant && node.value == 1; }

}  // namespace

Formulas::Formulas(const Plan& plan) : plan(plan), uses(plan.nodes.size(), 0) {
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::output || operand.kind == Operand::Kind::state)
      count(operand.value);
  int number = 0;
  for (int i = 0; i < int(plan.nodes.size()); ++i) {
    if (uses[i] < 2 || !isComputed(plan.nodes[i]))
      continue;
    std::string name;
    const auto isTaken = [&](const Operand& operand) { return operand.name == name; };
    do
      name = "x" + std::to_string(++number);
    while (std::any_of(plan.operands.begin(), plan.operands.end(), isTaken));
    names[i] = name;
  }
}

void Formulas::count(int node) {
  if (node < 0 || uses[node]++ > 0)
    return;
  for (int child : childrenOf(plan, plan.nodes[node]))
    count(child);
}

std::string Formulas::oldState(int operand) const {
  const Operand& state = plan.operands[operand];
  return state.name + (state.reverse ? "[t+1]" : "[t-1]");
}

std::string Formulas::text(int node) const { return inner(node, 0); }

std::string Formulas::inner(int node, int context) const {
  const auto named = names.find(node);
  return named != names.end() ? named->second : print(plan.nodes[node], context);
}

std::string Formulas::print(const Node& node, int context) const {
  const auto infix = [&](const char* sign, int precedence, int right) {
    std::string text = inner(node.args[0], precedence) + sign + inner(node.args[1], right);
    return precedence < context ? "(" + text + ")" : text;
  };
  const auto over = [&](const char* function) {
    const std::string argument = "(" + inner(node.args[0], 0) + ")";
    return plan.nodes[node.args[0]].dims.size() == 1 ? function + argument
                                                     : function + ("_" + node.name) + argument;
  };
  switch (node.kind) {
  case Node::Kind::constant:
    return numberText(node.value);
  case Node::Kind::dimension:
    return node.name;
  case Node::Kind::position:
    return "position";
  case Node::Kind::state:
    return oldState(node.operand);
  case Node::Kind::affine:
    return plan.operands[plan.recurrences[node.affine].state].name + "[t]";
  case Node::Kind::operand:
  case Node::Kind::override_:
    return plan.operands[node.operand].name;
  case Node::Kind::sum:
    return over("sum");
  case Node::Kind::max:
    return over("max");
  case Node::Kind::index:
    return "index(" + node.name + ")";
  case Node::Kind::rotate:
    return over("rotate");
  case Node::Kind::taylor:
    return over("taylor2");
  case Node::Kind::taylorAdjoint:
    return "taylor2_adjoint(" + inner(node.args[0], 0) + ", " + inner(node.args[1], 0) + ")";
  case Node::Kind::contract: {
    std::string text = inner(node.args[0], 4) + " @ " + inner(node.args[1], 4);
    return context > 1 ? "(" + text + ")" : text;
  }
  case Node::Kind::map:
    break;
  }
  switch (node.op) {
  case Op::add:
    return infix(" + ", 1, 1);
  case Op::subtract:
    return infix(" - ", 1, 2);
  case Op::multiply:
    return infix(" * ", 2, 2);
  case Op::divide:
    return infix(" / ", 2, 3);
  case Op::negate: {
    std::string text = "-" + inner(node.args[0], 4);
    return context > 2 ? "(" + text + ")" : text;
  }
  case Op::minimum:
  case Op::maximum:
    return std::string(node.op == Op::minimum ? "min(" : "max(") + inner(node.args[0], 0) + ", " +
           inner(node.args[1], 0) + ")";
  default:
    return std::string(name(node.op)) + "(" + inner(node.args[0], 0) + ")";
  }
}

std::string Formulas::decay(const Recurrence& recurrence) const {
  std::string sum;
  for (int log : recurrence.logDecays)
    sum += (sum.empty() ? "" : " + ") + inner(log, recurrence.logDecays.size() > 1 ? 1 : 0);
  return sum.empty() ? "" : "exp(" + sum + ")";
}

std::string Formulas::recurrence(const Recurrence& recurrence) const {
  const std::string old = oldState(recurrence.state);
  const std::string factor = decay(recurrence);
  std::string text = factor.empty() ? old : factor + " * " + old;
  for (const Recurrence::Rank1& term : recurrence.rank1) {
    const Node& left = plan.nodes[term.left];
    const bool isMinus = left.kind == Node::Kind::map && left.op == Op::negate;
    text += (isMinus ? " - " + inner(left.args[0], 3) : " + " + inner(term.left, 2)) + " * (" +
            inner(term.right, 4) + " @ " + old + ")";
  }
  for (const Recurrence::Outer& term : recurrence.outer) {
    const bool isPlain = isOne(plan.nodes[term.value]);
    text += " + " + inner(term.key, isPlain ? 1 : 2);
    if (!isPlain)
      text += " * " + inner(term.value, 2);
  }
  return text;
}

std::vector<std::string> Formulas::lines() const {
  std::vector<std::string> lines;
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::constant && operand.value >= 0) {
      const std::vector<int>& defaults = plan.nodes[operand.value].args;
      if (!defaults.empty())
        lines.push_back(operand.name + " = " + text(defaults[0]));
    }
  for (const auto& [node, given] : names)
    lines.push_back(given + " = " + print(plan.nodes[node], 0));
  for (const Operand& operand : plan.operands) {
    if (operand.kind != Operand::Kind::state || operand.value < 0)
      continue;
    const Node& update = plan.nodes[operand.value];
    lines.push_back(operand.name + "[t] = " +
                    (update.kind == Node::Kind::affine ? recurrence(plan.recurrences[update.affine])
                                                       : text(operand.value)));
  }
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::output)
      lines.push_back(operand.name + " = " + text(operand.value));
  return lines;
}

}  // namespace lathe::tool
