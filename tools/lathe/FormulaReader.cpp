#include "tools/lathe/FormulaReader.h"

#include "tools/lathe/FormulaChunk.h"

#include <set>

namespace lathe::tool {

namespace {

using reference::Declaration;
using reference::Instruction;
using reference::Program;

/// Of the running maximum that keeps a state finite (scaleName, compiler/dialect).
constexpr const char* scaleSuffix = ".log_scale";

std::vector<std::string> perToken(std::vector<std::string> dims) {
  std::erase(dims, "token");
  dims.insert(dims.begin(), "token");
  return dims;
}

int mapOf(Terms& terms, Op op, const std::vector<int>& args) {
  switch (op) {
  case Op::add:
    return terms.add(args[0], args[1]);
  case Op::subtract:
    return terms.subtract(args[0], args[1]);
  case Op::multiply:
    return terms.multiply(args[0], args[1]);
  case Op::divide:
    return terms.divide(args[0], args[1]);
  case Op::negate:
    return terms.negate(args[0]);
  case Op::minimum:
    return terms.call("min", args);
  case Op::maximum:
    return terms.call("max", args);
  default:
    return terms.call(name(op), args);
  }
}

/// Reads one program, instruction by instruction.
class Reader {
public:
  Reader(const Program& program, Terms& terms)
      : program(program), terms(terms), chunk(program, terms), values(program.values.size(), -1) {
    for (const Declaration& declaration : program.declarations)
      if (declaration.name.starts_with("d."))
        isAdjoint = true;
  }

  std::vector<Equation> run() {
    for (const Instruction& instruction : program.instructions) {
      read(instruction);
      for (const Declaration& declaration : program.declarations)
        if (isOriginalState(declaration) && declaration.value >= 0 &&
            declaration.value == instruction.results[0] && !program.chunked)
          replaceByNewState(declaration);
    }
    std::vector<Equation> equations;
    if (!isAdjoint && !program.chunked)
      addConstants(equations);
    if (program.chunked)
      addOutputs(equations);
    addStates(equations);
    if (!program.chunked)
      addOutputs(equations);
    if (isAdjoint)
      addTotals(equations);
    return equations;
  }

private:
  static bool isState(const Declaration& declaration) {
    return declaration.kind == Declaration::Kind::state;
  }
  static bool isOriginalState(const Declaration& declaration) {
    return isState(declaration) && !declaration.name.starts_with("d.");
  }

  /// Whether the state `name` is the sum over the tokens of the gradient of a param or a const.
  bool isTotal(const std::string& name) const {
    for (const Declaration& declaration : program.declarations)
      if (name == "d." + declaration.name)
        return declaration.kind != Declaration::Kind::state;
    return false;
  }

  bool isReverse(const std::string& state) const {
    for (const reference::SweepPlan& sweep : program.sweeps)
      for (int index : sweep.updated)
        if (program.declarations[index].name == state)
          return sweep.reverse;
    return false;
  }

  /// The state before or after this token; of an adjoint that of the state at the same place, what
  /// flows into it from the tokens beyond.
  int stateOf(const std::string& name, bool isNew, const std::vector<std::string>& dims) {
    const bool reverse = isReverse(name), isGradient = name.starts_with("d.");
    if (program.chunked)
      return terms.state(terms.shown(name),
                         isNew ? (reverse ? "1" : terms.last) : (reverse ? terms.last + "+1" : "0"),
                         dims);
    if (isGradient)
      return terms.state(name, isNew ? (reverse ? "t-1" : "t+1") : "t", perToken(dims));
    return terms.state(terms.shown(name), isNew ? "t" : reverse ? "t+1" : "t-1", perToken(dims));
  }

  void replaceByNewState(const Declaration& declaration) {
    int& value = values[declaration.value];
    updates.emplace(declaration.name, value);
    if (terms[value].kind != Term::Kind::state)
      value = stateOf(declaration.name, true, declaration.dims);
  }

  void read(const Instruction& instruction) {
    std::vector<int> args;
    for (int arg : instruction.args)
      args.push_back(values[arg]);
    const std::vector<std::string>& dims = program.values[instruction.results[0]];
    const std::string& dim = instruction.name;
    int& value = values[instruction.results[0]];
    switch (instruction.kind) {
    case Instruction::Kind::input:
      value = terms.symbol(dim, perToken(dims));
      return;
    case Instruction::Kind::param:
    case Instruction::Kind::constant:
    case Instruction::Kind::dimension:
      value = terms.symbol(dim, dims);
      return;
    case Instruction::Kind::literal:
      value = terms.number(instruction.number);
      return;
    case Instruction::Kind::position:
      value = terms.symbol("position", {"token"});
      return;
    case Instruction::Kind::state:
      value = stateOf(dim, false, dims);
      return;
    case Instruction::Kind::map:
      value = mapOf(terms, instruction.op, args);
      break;
    case Instruction::Kind::sum:
      value = dim == "token" ? chunk.total(instruction.args[0], args[0]) : terms.sum(args[0], dim);
      break;
    case Instruction::Kind::max:
      value = dim == "token" ? terms.call("max", {args[0]}, dim, dims)
                             : terms.call("max", {args[0]}, dim, without(args[0], dim));
      break;
    case Instruction::Kind::contract:
      value = dim == "token" ? terms.tokenSum(terms.multiply(args[0], args[1]), "")
                             : terms.contract(args[0], args[1], dim);
      break;
    case Instruction::Kind::broadcast:
      value = args[0];
      break;
    case Instruction::Kind::index:
      value = terms.call("index", {terms.symbol(dim, {})}, "", dims);
      break;
    case Instruction::Kind::rotate:
      value = terms.call("rotate", args, dim);
      break;
    case Instruction::Kind::taylor:
      value = terms.call("taylor2", args, dim, perToken(dims));
      break;
    case Instruction::Kind::taylorAdjoint:
      value = terms.call("taylor2_adjoint", args, dim, perToken(dims));
      break;
    default:
      chunk.read(instruction, values);
    }
    if (!instruction.label.empty() && terms.isLabelling)
      terms.label(value, instruction.label);
  }

  std::vector<std::string> without(int term, const std::string& dim) {
    std::vector<std::string> dims = terms[term].dims;
    std::erase(dims, dim);
    return dims;
  }

  void addConstants(std::vector<Equation>& equations) {
    for (const Instruction& instruction : program.instructions)
      if (instruction.kind == Instruction::Kind::constant && !instruction.args.empty())
        equations.push_back({values[instruction.results[0]], values[instruction.args[0]]});
  }

  void addStates(std::vector<Equation>& equations) {
    for (const Declaration& declaration : program.declarations) {
      if (!isState(declaration) || (isAdjoint && isOriginalState(declaration)) ||
          isTotal(declaration.name))
        continue;
      const auto update = updates.find(declaration.name);
      equations.push_back({stateOf(declaration.name, true, declaration.dims),
                           update == updates.end() ? values[declaration.value] : update->second});
    }
  }

  void addOutputs(std::vector<Equation>& equations) {
    for (const Declaration& declaration : program.declarations)
      if (declaration.kind == Declaration::Kind::output)
        equations.push_back({terms.symbol(declaration.name, perToken(declaration.dims)),
                             values[declaration.value]});
  }

  /// Their update is state + part.
  void addTotals(std::vector<Equation>& equations) {
    for (const Declaration& declaration : program.declarations) {
      if (!isState(declaration) || !isTotal(declaration.name))
        continue;
      for (const Instruction& instruction : program.instructions)
        if (instruction.results[0] == declaration.value)
          equations.push_back({terms.symbol(declaration.name, declaration.dims),
                               values[instruction.args[1]], true});
    }
  }

  const Program& program;
  Terms& terms;
  ChunkReader chunk;
  std::vector<int> values;  ///< The term of each value.
  std::map<std::string, int> updates;
  bool isAdjoint = false;
};

}  // namespace

Terms termsOf(const CompiledVariant& variant) {
  std::set<std::string> taken(variant.plan.dims.begin(), variant.plan.dims.end());
  for (const Declaration& declaration : variant.normal.program.declarations)
    taken.insert(declaration.name);
  for (const Instruction& instruction : variant.token.program.instructions)
    taken.insert(instruction.label);
  Terms terms(variant.plan.dims, taken);
  for (const Declaration& declaration : variant.normal.program.declarations)
    if (declaration.name.ends_with(scaleSuffix))
      terms.show(declaration.name, terms.freeName("m"));
  terms.isLabelling = true;
  equationsOf(variant.token.program, terms);
  terms.isLabelling = false;
  return terms;
}

std::vector<Equation> equationsOf(const Program& program, Terms& terms) {
  return Reader(program, terms).run();
}

std::vector<int> termsOf(const Plan& plan, Terms& terms) {
  std::vector<int> values;
  for (const Node& node : plan.nodes) {
    std::vector<int> args;
    for (int arg : node.args)
      args.push_back(values[arg]);
    const std::string& of = node.operand >= 0 ? plan.operands[node.operand].name : node.name;
    const auto state = [&](const Operand& operand, const char* place) {
      return terms.state(terms.shown(operand.name), place, perToken(node.dims));
    };
    const auto call = [&](const char* function) {
      return terms.call(function, args, node.name, perToken(node.dims));
    };
    const auto value = [&] {
      switch (node.kind) {
      case Node::Kind::operand:
        return terms.symbol(of, plan.operands[node.operand].kind == Operand::Kind::input
                                    ? perToken(node.dims)
                                    : node.dims);
      case Node::Kind::override_:
      case Node::Kind::dimension:
        return terms.symbol(of, {});
      case Node::Kind::constant:
        return terms.number(node.value);
      case Node::Kind::position:
        return terms.symbol("position", {"token"});
      case Node::Kind::state:
        return state(plan.operands[node.operand],
                     plan.operands[node.operand].reverse ? "t+1" : "t-1");
      case Node::Kind::affine:
        return state(plan.operands[plan.recurrences[node.affine].state], "t");
      case Node::Kind::map:
        return mapOf(terms, node.op, args);
      case Node::Kind::sum:
        return terms.sum(args[0], node.name);
      case Node::Kind::contract:
        return terms.contract(args[0], args[1], node.name);
      case Node::Kind::max: {
        std::vector<std::string> dims = terms[args[0]].dims;
        std::erase(dims, node.name);
        return terms.call("max", args, node.name, dims);
      }
      case Node::Kind::index:
        return terms.call("index", {terms.symbol(node.name, {})}, "", node.dims);
      case Node::Kind::rotate:
        return terms.call("rotate", args, node.name);
      case Node::Kind::taylor:
        return call("taylor2");
      case Node::Kind::taylorAdjoint:
        return call("taylor2_adjoint");
      }
      return -1;
    };
    values.push_back(value());
  }
  return values;
}

}  // namespace lathe::tool
