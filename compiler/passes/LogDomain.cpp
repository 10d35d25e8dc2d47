#include "compiler/passes/LogDomain.h"

#include <cmath>

using namespace mlir;

namespace lathe {

/// e where `value` is 1 - sigmoid(e), which is sigmoid(-e); null else.
static Value complementOfSigmoid(Value value) {
  MapOp difference = definingMap(value, Op::subtract);
  if (!difference || literalOf(difference.getInputs()[0]) != 1.0)
    return {};
  MapOp sigmoid = definingMap(difference.getInputs()[1], Op::sigmoid);
  return sigmoid ? sigmoid.getInputs()[0] : Value();
}

/// Whether `value` is above 0 and below 1 for every input: sigmoids, their complements, products.
static bool isFraction(Value value) {
  if (definingMap(value, Op::sigmoid) || complementOfSigmoid(value))
    return true;
  if (const std::optional<double> number = literalOf(value))
    return *number > 0 && *number < 1;
  MapOp product = definingMap(value, Op::multiply);
  return product && llvm::all_of(product.getInputs(), isFraction);
}

static bool isAtLeastZero(Value value);

bool isPositive(Value value) {
  if (const std::optional<double> number = literalOf(value))
    return *number > 0 && std::isfinite(*number);
  if (value.getDefiningOp<DimOp>())
    return true;
  if (auto constant = value.getDefiningOp<ConstantOp>())
    return isPositive(constant.getInitial());
  if (auto broadcast = value.getDefiningOp<BroadcastOp>())
    return isPositive(broadcast.getInput());
  auto map = value.getDefiningOp<MapOp>();
  const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
  if (!op)
    return false;
  const OperandRange args = map.getInputs();
  switch (*op) {
  case Op::exp:
  case Op::sigmoid:
  case Op::softplus:
    return true;
  case Op::sqrt:
  case Op::rsqrt:
    return isPositive(args[0]);
  case Op::add:
    return (isPositive(args[0]) && isAtLeastZero(args[1])) ||
           (isAtLeastZero(args[0]) && isPositive(args[1]));
  case Op::multiply:
  case Op::divide:
  case Op::minimum:
    return isPositive(args[0]) && isPositive(args[1]);
  case Op::maximum:
    return isPositive(args[0]) || isPositive(args[1]);
  case Op::subtract:
    return literalOf(args[0]) == 1.0 && isFraction(args[1]);
  default:
    return false;
  }
}

/// Whether x - m is at most 0 because m is a maximum that x is part of.
static bool isShift(Value x, Value m) {
  if (auto broadcast = m.getDefiningOp<BroadcastOp>())
    return isShift(x, broadcast.getInput());
  if (auto max = m.getDefiningOp<MaxOp>())
    return max.getInput() == x;
  if (auto running = m.getDefiningOp<RunningMaxOp>())
    return running.getInput() == x || isShift(x, running.getInput());
  MapOp map = definingMap(m, Op::maximum);
  return map &&
         llvm::any_of(map.getInputs(), [&](Value part) { return part == x || isShift(x, part); });
}

bool isAtLeastZero(Value value) {
  if (isPositive(value) || literalOf(value) == 0.0)
    return true;
  Operation* definition = value.getDefiningOp();
  if (auto contract = llvm::dyn_cast<ContractOp>(definition))
    return contract.getLhs() == contract.getRhs() ||
           llvm::all_of(contract.getOperands(), isAtLeastZero);
  if (llvm::isa<SumOp, MaxOp, BroadcastOp>(definition))
    return isAtLeastZero(definition->getOperand(0));
  auto map = llvm::dyn_cast<MapOp>(definition);
  const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
  if (op == Op::relu || op == Op::abs)
    return true;
  if (op == Op::maximum)
    return llvm::any_of(map.getInputs(), isAtLeastZero);
  if (op == Op::multiply && map.getInputs()[0] == map.getInputs()[1])
    return true;
  return (op == Op::add || op == Op::multiply || op == Op::divide || op == Op::minimum) &&
         llvm::all_of(map.getInputs(), isAtLeastZero);
}

bool isBounded(Value value) {
  Operation* definition = value.getDefiningOp();
  if (auto input = llvm::dyn_cast<InputOp>(definition))
    return input.getLog();
  if (llvm::isa<ParamOp, ConstantOp, LiteralOp, DimOp>(definition))
    return true;
  auto map = llvm::dyn_cast<MapOp>(definition);
  const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
  if (!op)
    return llvm::isa<BroadcastOp>(definition) && isBounded(definition->getOperand(0));
  const OperandRange args = map.getInputs();
  switch (*op) {
  case Op::logsigmoid:
  case Op::sigmoid:
  case Op::tanh:
  case Op::sin:
  case Op::cos:
    return true;
  case Op::negate:
    return isAtLeastZero(args[0]);
  case Op::subtract:
    return (isBounded(args[0]) && isAtLeastZero(args[1])) || isShift(args[0], args[1]);
  case Op::minimum:
    return isBounded(args[0]) || isBounded(args[1]);
  case Op::add:
  case Op::maximum:
    return isBounded(args[0]) && isBounded(args[1]);
  case Op::multiply: {
    const auto isNegated = [](Value factor) {
      MapOp negation = definingMap(factor, Op::negate);
      return (negation && isAtLeastZero(negation.getInputs()[0])) ||
             literalOf(factor).value_or(1) <= 0;
    };
    return (isNegated(args[0]) && isAtLeastZero(args[1])) ||
           (isNegated(args[1]) && isAtLeastZero(args[0]));
  }
  default:
    return false;
  }
}

Value logarithm(TokenBuilder& builder, Value factor) {
  if (!isPositive(factor))
    return {};
  const auto direct = [&] { return builder.map(Op::log, factor); };
  const auto of = [&](Value part) { return logarithm(builder, part); };
  if (const std::optional<double> number = literalOf(factor))
    return builder.literal(std::log(*number));
  auto map = factor.getDefiningOp<MapOp>();
  if (!map)
    return direct();
  const OperandRange args = map.getInputs();
  switch (*scalarOpOf(map)) {
  case Op::exp:
    return args[0];
  case Op::sigmoid:
    return builder.map(Op::logsigmoid, args[0]);
  case Op::multiply:
    return builder.map(Op::add, {of(args[0]), of(args[1])});
  case Op::divide:
    return builder.map(Op::subtract, {of(args[0]), of(args[1])});
  case Op::sqrt:
    return builder.map(Op::multiply, {builder.literal(0.5), of(args[0])});
  case Op::rsqrt:
    return builder.map(Op::multiply, {builder.literal(-0.5), of(args[0])});
  case Op::subtract:
    if (const Value e = complementOfSigmoid(factor))
      return builder.map(Op::logsigmoid, builder.map(Op::negate, e));
    return direct();
  default:
    return direct();
  }
}

}  // namespace lathe
