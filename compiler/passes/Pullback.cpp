#include "compiler/passes/Pullback.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe {

Pullback::Pullback(VariantOp variant, TokenBuilder& builder) : builder(builder) {
  for (Operation& op : variant.getBody().front()) {
    // What a stabiliser scales by cancels in everything that is read.
    auto state = llvm::dyn_cast<StateOp>(op);
    const bool stops = llvm::isa<RunningMaxOp>(op) || (state && state.getStabiliser());
    const bool isLeaf = llvm::isa<InputOp, ParamOp, ConstantOp, StateOp>(op);
    if (stops || (!isLeaf && llvm::none_of(op.getOperands(), [&](Value v) { return isActive(v); })))
      continue;
    active.insert(op.getResults().begin(), op.getResults().end());
  }
}

Value Pullback::reduced(Value a, Value b, ValueType type) {
  const ValueType product = builder.unite({a, b});
  for (StringAttr dim : product.getDims())
    if (!type.has(dim.getValue()))
      return reduced(builder.contract(a, b, dim.getValue()), type);
  return builder.broadcast(builder.map(Op::multiply, {a, b}), type);
}

Value Pullback::reduced(Value a, ValueType type) {
  for (StringAttr dim : typeOf(a).getDims())
    if (!type.has(dim.getValue()))
      return reduced(builder.sum(a, dim.getValue()), type);
  return builder.broadcast(a, type);
}

void Pullback::add(Value value, Value gradient) {
  if (!isActive(value))
    return;
  const Value part = reduced(gradient, typeOf(value));
  Value& sum = gradients[value];
  sum = sum ? builder.map(Op::add, {sum, part}) : part;
}

void Pullback::addProduct(Value value, Value a, Value b) {
  if (isActive(value))
    add(value, reduced(a, b, typeOf(value)));
}

void Pullback::through(Operation& op) {
  builder.setLoc(op.getLoc());
  if (auto solve = llvm::dyn_cast<SolveOp>(op))
    return throughSolve(solve);
  if (op.getNumResults() != 1 || !of(op.getResult(0)))
    return;
  const Value d = of(op.getResult(0));
  llvm::TypeSwitch<Operation*>(&op)
      .Case<InputOp, ParamOp, ConstantOp, StateOp>([](auto) {})
      .Case([&](MapOp map) { throughMap(map, d); })
      .Case([&](SumOp sum) { throughSum(sum, d); })
      .Case([&](MaxOp max) { throughMax(max, d); })
      .Case([&](ContractOp contract) { throughContract(contract, d); })
      .Case([&](BroadcastOp broadcast) { add(broadcast.getInput(), d); })
      .Case([&](RotateOp rotate) {
        add(rotate.getInput(), negated(builder.rotate(d, rotate.getDim())));
      })
      .Case([&](TaylorOp taylor) {
        add(taylor.getInput(),
            builder.taylorAdjoint(taylor.getInput(), d, taylor.getDim(), taylor.getFeatures()));
      })
      .Case([&](CumulateOp cumulate) { throughCumulate(cumulate, d); })
      .Case([&](ScoresOp scores) { throughScores(scores, d); })
      .Case([&](ApplyOp apply) { throughApply(apply, d); })
      .Default([](Operation* other) {
        llvm::report_fatal_error("derive-gradient has no rule for " +
                                 other->getName().getStringRef());
      });
}

void Pullback::throughMap(MapOp map, Value d) {
  const OperandRange args = map.getInputs();
  const lathe::Op op = *scalarOpOf(map);
  switch (op) {
  case Op::add:
    add(args[0], d);
    return add(args[1], d);
  case Op::subtract:
    add(args[0], d);
    if (isActive(args[1]))
      add(args[1], negated(d));
    return;
  case Op::negate:
    return add(args[0], negated(d));
  case Op::multiply:
    addProduct(args[0], d, args[1]);
    return addProduct(args[1], d, args[0]);
  case Op::divide: {
    const Value quotient = builder.map(Op::divide, {d, args[1]});
    add(args[0], quotient);
    if (isActive(args[1]))
      addProduct(args[1], negated(quotient), map);
    return;
  }
  default:
    for (unsigned i = 0; i < args.size(); ++i)
      if (isActive(args[i]))
        if (const Value factor = derivative(builder, op, args, map, i))
          addProduct(args[i], d, factor);
  }
}

void Pullback::throughSum(SumOp sum, Value d) { add(sum.getInput(), d); }

/// Every element that is the largest takes all of it.
void Pullback::throughMax(MaxOp max, Value d) {
  const Value below = builder.map(Op::step, builder.map(Op::subtract, {max, max.getInput()}));
  addProduct(max.getInput(), d, builder.map(Op::subtract, {builder.literal(1), below}));
}

void Pullback::throughContract(ContractOp contract, Value d) {
  const ValueType full = builder.unite({contract.getLhs(), contract.getRhs()});
  // An operand that lacks the contracted dimension counts once for each of its elements.
  const Value spread = builder.broadcast(d, full);
  for (auto [to, other] : {std::pair{contract.getLhs(), contract.getRhs()},
                           std::pair{contract.getRhs(), contract.getLhs()}}) {
    const bool isCovered =
        typeOf(to).has(contract.getDim()) || typeOf(other).has(contract.getDim());
    addProduct(to, isCovered ? d : spread, other);
  }
}

}  // namespace lathe
