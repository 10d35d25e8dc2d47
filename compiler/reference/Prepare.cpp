#include "compiler/reference/Prepare.h"

#include "compiler/dialect/Build.h"
#include "compiler/passes/Sweeps.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe::reference {

namespace {

using Kind = Instruction::Kind;
using Dims = std::vector<std::string>;

Dims namesOf(ValueType type) {
  Dims names;
  for (StringAttr dim : type.getDims())
    names.push_back(dim.str());
  return names;
}

class Preparation {
public:
  explicit Preparation(VariantOp variant) : variant(variant) {}

  Program run() {
    program.variant = variant.getSymName().str();
    program.dims =
        namesOf(variant.valueType(llvm::to_vector(variant.getDims().getAsRange<StringAttr>())));
    program.rules = variant.dimRules();
    program.chunked = variant.getChunked();
    for (Operation& op : variant.getBody().front()) {
      const std::size_t first = program.instructions.size();
      add(op);
      for (std::size_t at = first; at < program.instructions.size(); ++at)
        instructionsOf[&op].push_back(static_cast<int>(at));
    }
    markPerHead();
    addSweeps();
    return std::move(program);
  }

private:
  int newValue(Dims dims) {
    program.values.push_back(std::move(dims));
    return static_cast<int>(program.values.size()) - 1;
  }

  Instruction& append(Kind kind, std::vector<int> args, Dims dims) {
    Instruction& instruction = program.instructions.emplace_back();
    instruction.kind = kind;
    instruction.args = std::move(args);
    instruction.results = {newValue(std::move(dims))};
    return instruction;
  }

  /// An instruction that the program adds of its own; its result.
  int map(Op op, std::vector<int> args) {
    Dims dims;
    for (const std::string& dim : program.dims)
      for (int arg : args)
        if (llvm::is_contained(program.values[arg], dim) && !llvm::is_contained(dims, dim))
          dims.push_back(dim);
    Instruction& instruction = append(Kind::map, std::move(args), std::move(dims));
    instruction.op = op;
    return instruction.results[0];
  }

  void declare(Declaration::Kind kind, StringRef name, ValueType type, ArrayAttr stored,
               int value = -1) {
    Declaration& declaration = program.declarations.emplace_back();
    declaration.kind = kind;
    declaration.name = name.str();
    declaration.dims = namesOf(type);
    std::erase(declaration.dims, tokenDim.str());
    declaration.value = value;
    declaration.stored = declaration.dims;
    if (!stored)
      return;
    declaration.stored.clear();
    for (StringAttr dim : stored.getAsRange<StringAttr>())
      declaration.stored.push_back(dim.str());
  }

  void add(Operation& op) {
    if (auto output = llvm::dyn_cast<OutputOp>(op)) {
      declare(Declaration::Kind::output, output.getName(), typeOf(output.getValue()),
              output.getStoredAttr(), values.lookup(output.getValue()));
      return;
    }
    if (auto update = llvm::dyn_cast<UpdateOp>(op)) {
      StateOp state = variant.findState(update.getName());
      declare(Declaration::Kind::state, state.getName(), state.getType(), state.getStoredAttr(),
              values.lookup(update.getValue()));
      return;
    }
    if (auto affine = llvm::dyn_cast<AffineOp>(op)) {
      values[affine] = expand(affine);
      return;
    }
    std::vector<int> args;
    for (Value operand : op.getOperands())
      args.push_back(values.lookup(operand));
    Instruction instruction;
    instruction.args = std::move(args);
    for (Value result : op.getResults()) {
      instruction.results.push_back(newValue(namesOf(typeOf(result))));
      values[result] = instruction.results.back();
    }
    if (const auto named = llvm::dyn_cast<NameLoc>(op.getLoc()))
      instruction.label = named.getName().str();
    describe(op, instruction);
    program.instructions.push_back(std::move(instruction));
  }

  void describe(Operation& op, Instruction& instruction) {
    const auto set = [&](Kind kind, StringRef name = "") {
      instruction.kind = kind;
      instruction.name = name.str();
    };
    llvm::TypeSwitch<Operation*>(&op)
        .Case([&](InputOp input) {
          set(Kind::input, input.getName());
          declare(Declaration::Kind::input, input.getName(), input.getType(),
                  input.getStoredAttr());
        })
        .Case([&](ParamOp param) {
          set(Kind::param, param.getName());
          declare(Declaration::Kind::param, param.getName(), param.getType(),
                  param.getStoredAttr());
        })
        .Case([&](ConstantOp constant) {
          set(Kind::constant, constant.getName());
          declare(Declaration::Kind::constant, constant.getName(), constant.getType(), {});
        })
        .Case([&](LiteralOp literal) {
          set(Kind::literal);
          instruction.number = literal.getValue().convertToDouble();
        })
        .Case([&](DimOp dim) { set(Kind::dimension, dim.getDim()); })
        .Case([&](PositionOp) { set(Kind::position); })
        .Case([&](StateOp state) { set(Kind::state, state.getName()); })
        .Case([&](MapOp map) {
          set(Kind::map);
          instruction.op = *scalarOpOf(map);
        })
        .Case([&](SumOp sum) { set(Kind::sum, sum.getDim()); })
        .Case([&](MaxOp max) { set(Kind::max, max.getDim()); })
        .Case([&](ContractOp contract) { set(Kind::contract, contract.getDim()); })
        .Case([&](BroadcastOp) { set(Kind::broadcast); })
        .Case([&](IndexOp index) { set(Kind::index, index.getDim()); })
        .Case([&](RotateOp rotate) { set(Kind::rotate, rotate.getDim()); })
        .Case([&](TaylorOp taylor) {
          set(Kind::taylor, taylor.getDim());
          instruction.features = taylor.getFeatures().str();
        })
        .Case([&](TaylorAdjointOp taylor) {
          set(Kind::taylorAdjoint, taylor.getDim());
          instruction.features = taylor.getFeatures().str();
        })
        .Case([&](CumulateOp cumulate) {
          set(Kind::cumulate);
          instruction.exclusive = cumulate.getExclusive();
          instruction.reverse = cumulate.getReverse();
        })
        .Case([&](RunningMaxOp running) {
          set(Kind::runningMax);
          instruction.exclusive = running.getExclusive();
          instruction.reverse = running.getReverse();
        })
        .Case([&](ScoresOp scores) {
          set(Kind::scores, scores.getDim());
          instruction.strict = scores.getStrict();
          instruction.reverse = scores.getReverse();
        })
        .Case([&](ApplyOp apply) {
          set(Kind::apply);
          instruction.strict = apply.getStrict();
          instruction.reverse = apply.getReverse();
          instruction.transposed = apply.getTransposed();
        })
        .Case([&](SolveOp solve) {
          set(Kind::solve);
          instruction.reverse = solve.getReverse();
          instruction.transposed = solve.getTransposed();
        });
  }

  /// The normal form, one term after the other.
  int expand(AffineOp affine) {
    const std::string key = affine.keyDim().str();
    const int state = values.lookup(affine.getState());
    int sum = state;
    for (Value decay : affine.getDecays())
      sum = map(Op::multiply, {map(Op::exp, {values.lookup(decay)}), sum});
    for (const auto& [left, right] : llvm::zip(affine.getLefts(), affine.getRights())) {
      Dims rest = program.values[state];
      std::erase(rest, key);
      Instruction& read = append(Kind::contract, {values.lookup(right), state}, std::move(rest));
      read.name = key;
      const int row = read.results[0];
      sum = map(Op::add, {sum, map(Op::multiply, {values.lookup(left), row})});
    }
    for (const auto& [keys, written] : llvm::zip(affine.getKeys(), affine.getValues()))
      sum = map(Op::add, {sum, map(Op::multiply, {values.lookup(keys), values.lookup(written)})});
    return sum;
  }

  void markPerHead() {
    std::vector<bool> perToken(program.values.size(), false);
    for (Instruction& instruction : program.instructions) {
      instruction.perHead = instruction.kind != Kind::input && instruction.kind != Kind::position &&
                            instruction.kind != Kind::state &&
                            llvm::none_of(instruction.args, [&](int arg) { return perToken[arg]; });
      for (int result : instruction.results)
        perToken[result] = !instruction.perHead;
    }
  }

  void addSweeps() {
    const std::vector<Sweep> sweeps = splitSweeps(variant);
    if (sweeps.empty())
      llvm::report_fatal_error("states of both directions feed each other");
    for (const Sweep& sweep : sweeps) {
      SweepPlan& plan = program.sweeps.emplace_back();
      plan.reverse = sweep.reverse;
      for (Operation* op : sweep.ops)
        llvm::append_range(plan.instructions, instructionsOf[op]);
      for (StateOp state : sweep.updated)
        plan.updated.push_back(declarationOf(Declaration::Kind::state, state.getName()));
      for (StateOp state : sweep.given)
        plan.given.push_back(declarationOf(Declaration::Kind::state, state.getName()));
      for (OutputOp output : sweep.outputs)
        plan.outputs.push_back(declarationOf(Declaration::Kind::output, output.getName()));
    }
  }

  int declarationOf(Declaration::Kind kind, StringRef name) const {
    for (const auto& [index, own] : llvm::enumerate(program.declarations))
      if (own.kind == kind && own.name == name)
        return static_cast<int>(index);
    llvm_unreachable("every state and output is declared");
  }

  VariantOp variant;
  Program program;
  llvm::DenseMap<Value, int> values;
  llvm::DenseMap<Operation*, std::vector<int>> instructionsOf;
};

}  // namespace

Program prepare(VariantOp variant) { return Preparation(variant).run(); }

}  // namespace lathe::reference
