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
  case Op::multiply:
  case Op::divide:
  case Op::minimum:
    return isPositive(args[0]) && isPositive(args[1]);
  case Op::maximum:
    return isPositive(args[0]) || isPositive(args[1]);
  case Op::subtract:
    return complementOfSigmoid(value) != nullptr;
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
    return builder.map(Op::logsigmoid, builder.map(Op::negate, complementOfSigmoid(factor)));
  default:
    return direct();
  }
}

}  // namespace lathe
