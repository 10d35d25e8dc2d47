// From a program to its adjoint: a program that holds the states of the first, what flows back
// into them, and what flows back into every input, param and const. With P_t what flows into the
// state after token t,
//
//   P_{t-1} = (dS_t / dS_{t-1})^T P_t + what the reads of token t-1 send back
//
// goes the other way through the sequence than S does. States are recomputed, or kept, by whoever
// runs it (Sweeps.h): nothing of the adjoint is stored but the gradients themselves.
#include "compiler/passes/Passes.h"
#include "compiler/passes/Pullback.h"

using namespace mlir;

namespace lathe {

#define GEN_PASS_DEF_DERIVEGRADIENT
#include "compiler/passes/Passes.h.inc"

namespace {

class Adjoint {
public:
  explicit Adjoint(VariantOp variant)
      : variant(variant), builder(variant, OpBuilder::atBlockEnd(&variant.getBody().front())),
        pullback(variant, builder) {
    for (StateOp state : variant.getBody().getOps<StateOp>())
      hasReverse |= state.getReverse();
  }

  void run() {
    llvm::SmallVector<Operation*> ops;
    for (Operation& op : variant.getBody().front())
      ops.push_back(&op);
    for (Operation* op : ops)
      seed(*op);
    for (Operation* op : llvm::reverse(ops))
      pullback.through(*op);
    for (Operation* op : ops)
      collect(*op);
    for (OutputOp output : outputs)
      output.erase();
  }

private:
  StringAttr nameOf(StringRef name) { return builder.getStringAttr(gradientName(name)); }

  /// What is given: the gradients of the outputs, and of the states after this token.
  void seed(Operation& op) {
    builder.setLoc(op.getLoc());
    if (auto output = llvm::dyn_cast<OutputOp>(op)) {
      outputs.push_back(output);
      const Value given =
          builder.create<InputOp>(builder.loc(), output.getValue().getType(),
                                  nameOf(output.getName()), UnitAttr(), output.getStoredAttr());
      pullback.add(output.getValue(), given);
    } else if (auto update = llvm::dyn_cast<UpdateOp>(op)) {
      StateOp state = variant.findState(update.getName());
      if (state.getStabiliser())
        return;
      adjoints[state] =
          stateOf(state.getType(), state.getName(), !state.getReverse(), state.getStoredAttr());
      pullback.add(update.getValue(), adjoints[state]);
    }
  }

  /// What is wanted: the gradients of declarations.
  void collect(Operation& op) {
    builder.setLoc(op.getLoc());
    if (auto input = llvm::dyn_cast<InputOp>(op)) {
      builder.create<OutputOp>(builder.loc(), nameOf(input.getName()), gradientOf(input),
                               input.getStoredAttr());
    } else if (auto param = llvm::dyn_cast<ParamOp>(op)) {
      total(param, param.getName(), param.getStoredAttr());
    } else if (auto constant = llvm::dyn_cast<ConstantOp>(op)) {
      total(constant, constant.getName(), {});
    } else if (auto state = llvm::dyn_cast<StateOp>(op)) {
      if (adjoints.contains(state))
        builder.create<UpdateOp>(builder.loc(), nameOf(state.getName()), gradientOf(state));
    }
  }

  /// What is shared by all tokens sums up what each sends back, on the last sweep.
  void total(Value value, StringRef name, ArrayAttr stored) {
    const Value sum = stateOf(value.getType(), name, !hasReverse, stored);
    builder.create<UpdateOp>(builder.loc(), nameOf(name),
                             builder.map(Op::add, {sum, gradientOf(value)}));
  }

  Value stateOf(Type type, StringRef name, bool reverse, ArrayAttr stored) {
    return builder.create<StateOp>(builder.loc(), type, nameOf(name),
                                   reverse ? builder.getUnitAttr() : UnitAttr(), UnitAttr(),
                                   stored);
  }

  Value gradientOf(Value value) {
    if (const Value gradient = pullback.of(value))
      return gradient;
    return builder.broadcast(builder.literal(0), typeOf(value));
  }

  VariantOp variant;
  TokenBuilder builder;
  Pullback pullback;
  bool hasReverse = false;
  llvm::SmallVector<OutputOp> outputs;
  llvm::DenseMap<Operation*, Value> adjoints;
};

void expandUpdates(VariantOp variant) {
  for (AffineOp affine : llvm::make_early_inc_range(variant.getBody().getOps<AffineOp>())) {
    TokenBuilder builder(variant, OpBuilder(affine));
    builder.setLoc(affine.getLoc());
    affine.getResult().replaceAllUsesWith(expand(builder, affine));
    affine.erase();
  }
}

struct DeriveGradientPass : impl::DeriveGradientBase<DeriveGradientPass> {
  void runOnOperation() override {
    expandUpdates(getOperation());
    Adjoint(getOperation()).run();
  }
};

}  // namespace
}  // namespace lathe
