// The derivatives of scalar functions.
#include "compiler/passes/Pullback.h"

using namespace mlir;

namespace lathe {

Value derivative(TokenBuilder& builder, Op op, ValueRange operands, Value y, unsigned operand) {
  const Value x = operands[0];
  const auto map = [&](Op with, ValueRange args) { return builder.map(with, args); };
  const auto times = [&](Value a, Value b) { return map(Op::multiply, {a, b}); };
  const auto minus = [&](Value a, Value b) { return map(Op::subtract, {a, b}); };
  const Value one = builder.literal(1);
  switch (op) {
  case Op::minimum:  // Where both are equal, half of a kink: the first operand takes it.
    return operand == 0 ? minus(one, map(Op::step, minus(x, operands[1])))
                        : map(Op::step, minus(x, operands[1]));
  case Op::maximum:
    return operand == 0 ? minus(one, map(Op::step, minus(operands[1], x)))
                        : map(Op::step, minus(operands[1], x));
  case Op::exp:
    return y;
  case Op::log:
    return map(Op::divide, {one, x});
  case Op::sqrt:
    return map(Op::divide, {builder.literal(0.5), y});
  case Op::rsqrt:
    return times(builder.literal(-0.5), times(y, times(y, y)));
  case Op::abs:
    return minus(map(Op::step, x), map(Op::step, map(Op::negate, x)));
  case Op::tanh:
    return minus(one, times(y, y));
  case Op::sigmoid:
    return times(y, minus(one, y));
  case Op::logsigmoid:
    return map(Op::sigmoid, map(Op::negate, x));
  case Op::softplus:
    return map(Op::sigmoid, x);
  case Op::relu:
    return map(Op::step, x);
  case Op::silu: {
    const Value s = map(Op::sigmoid, x);
    return map(Op::add, {s, times(y, minus(one, s))});
  }
  case Op::elu:  // exp of what is at most 0: no overflow where the other branch is meant.
    return map(Op::exp, map(Op::minimum, {x, builder.literal(0)}));
  case Op::sin:
    return map(Op::cos, x);
  case Op::cos:
    return map(Op::negate, map(Op::sin, x));
  case Op::step:
    return {};
  case Op::add:
  case Op::subtract:
  case Op::negate:
  case Op::multiply:
  case Op::divide:
    break;
  }
  llvm_unreachable("the pull-back of a sum or a product needs no derivative");
}

}  // namespace lathe
