#include "tools/liblathe/CpuRules.h"

#include <algorithm>

namespace lathe::abi {

using reference::Declaration;
using Kind = Declaration::Kind;
using Part = CpuPlace::Part;
using Role = TensorRule::Role;

namespace {

class Rules {
public:
  Rules(const CpuProblem& problem, const cpu::Target& target)
      : program(problem.program()), target(target) {}

  CpuRules run() {
    for (const Declaration& own : program.declarations)
      if (const Declaration* original = originalOf(own))
        addAdjoint(own, *original);
      else
        add(own);
    // What is read comes first; else the order of the program stays.
    std::vector<std::size_t> order(rules.tensors.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::stable_partition(order.begin(), order.end(),
                          [&](std::size_t i) { return !rules.tensors[i].isWritten; });
    CpuRules sorted;
    for (const std::size_t i : isAdjoint ? order : std::vector<std::size_t>()) {
      sorted.tensors.push_back(rules.tensors[i]);
      sorted.places.push_back(rules.places[i]);
    }
    return isAdjoint ? sorted : rules;
  }

private:
  /// Of what a declaration is the gradient, "d.x" that of x; null where it is none.
  const Declaration* originalOf(const Declaration& declaration) {
    if (!declaration.name.starts_with("d."))
      return nullptr;
    isAdjoint = true;
    // An output of the spec is no declaration of the adjoint: what the loss sends back is an input.
    if (declaration.kind == Kind::input)
      return &declaration;
    const std::string name = declaration.name.substr(2);
    for (const Declaration& own : program.declarations)
      if (own.name == name)
        return &own;
    return nullptr;
  }

  void add(const Declaration& own) {
    if (own.kind == Kind::input)
      push(own, own.name, Role::input, Part::tensors);
    else if (own.kind == Kind::param)
      push(own, own.name, Role::param, Part::tensors);
    else if (own.kind == Kind::output)
      push(own, own.name, Role::output, Part::tensors);
    if (own.kind != Kind::state)
      return;
    push(own, "initial " + own.name, Role::initialState, Part::initial);
    if (!hasAdjoint())
      push(own, "final " + own.name, Role::finalState, Part::final);
  }

  void addAdjoint(const Declaration& own, const Declaration& original) {
    const std::string name =
        original.kind == Kind::input && &own == &original ? own.name.substr(2) : original.name;
    if (&own == &original) {
      push(own, own.name, Role::cotangent, Part::tensors, name);
    } else if (original.kind == Kind::state) {
      push(own, "d.final " + name, Role::stateCotangent, Part::initial, name);
      push(own, "d.initial " + name, Role::stateGradient, Part::final, name);
    } else if (original.kind == Kind::constant) {
      push(own, own.name, Role::constantGradient, Part::tensors, name);
    } else {
      // That of a param is a state of the program, summed over batch and tokens.
      const bool isParam = original.kind == Kind::param;
      push(own, own.name, Role::gradient, Part::tensors, name, isParam);
    }
  }

  bool hasAdjoint() const {
    return std::any_of(program.declarations.begin(), program.declarations.end(),
                       [](const Declaration& own) { return own.name.starts_with("d."); });
  }

  void push(const Declaration& own, const std::string& name, Role role, Part part,
            const std::string& operand = "", bool isParam = false) {
    TensorRule rule;
    rule.name = name;
    rule.operand = operand.empty() ? own.name : operand;
    rule.role = role;
    if (const auto given = target.dtypes.find(own.name);
        given != target.dtypes.end() && part == Part::tensors)
      rule.dtype = given->second;
    if (role == Role::constantGradient)
      rule.axes = {};
    else if (role == Role::param || isParam)
      rule.axes = {"heads"};
    else if (part == Part::tensors)
      rule.axes = {"batch", "tokens", "heads"};
    else
      rule.axes = {"sequences", "heads"};
    rule.sizes.assign(rule.axes.size(), -1);
    for (const std::string& dim : own.stored) {
      rule.axes.push_back(dim);
      rule.sizes.push_back(target.dims.at(dim));
    }
    rule.isWritten = role == Role::output || role == Role::finalState || role == Role::gradient ||
                     role == Role::constantGradient || role == Role::stateGradient;
    rule.isOptional = role != Role::input && role != Role::param && role != Role::output;
    rules.tensors.push_back(std::move(rule));
    rules.places.push_back({part, own.name});
  }

  const reference::Program& program;
  const cpu::Target& target;
  CpuRules rules;
  bool isAdjoint = false;
};

}  // namespace

CpuRules rulesOf(const CpuProblem& problem, const cpu::Target& target) {
  return Rules(problem, target).run();
}

}  // namespace lathe::abi
