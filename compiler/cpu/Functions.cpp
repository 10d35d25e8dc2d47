#include "compiler/cpu/Functions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinTypes.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace lathe::cpu {

namespace {

/// Writes formulas on values of one type.
class Formula {
public:
  Formula(ImplicitLocOpBuilder& builder, Type type) : builder(builder), type(type) {
    integers = builder.getI32Type();
    if (auto vector = llvm::dyn_cast<VectorType>(type))
      integers = vector.clone(builder.getI32Type());
  }

  Value number(double value) {
    TypedAttr attribute = builder.getF32FloatAttr(static_cast<float>(value));
    if (auto vector = llvm::dyn_cast<VectorType>(type))
      attribute = SplatElementsAttr::get(vector, attribute);
    return builder.create<arith::ConstantOp>(attribute);
  }

  Value integer(std::int32_t value) {
    TypedAttr attribute = builder.getI32IntegerAttr(value);
    if (auto vector = llvm::dyn_cast<VectorType>(integers))
      attribute = SplatElementsAttr::get(vector, attribute);
    return builder.create<arith::ConstantOp>(attribute);
  }

  Value add(Value a, Value b) { return builder.create<arith::AddFOp>(a, b, contract); }
  Value subtract(Value a, Value b) { return builder.create<arith::SubFOp>(a, b, contract); }
  Value multiply(Value a, Value b) { return builder.create<arith::MulFOp>(a, b, contract); }
  Value divide(Value a, Value b) { return builder.create<arith::DivFOp>(a, b); }
  Value negate(Value a) { return builder.create<arith::NegFOp>(a); }
  Value absolute(Value a) { return builder.create<math::AbsFOp>(a); }
  Value minimum(Value a, Value b) { return builder.create<arith::MinimumFOp>(a, b); }
  Value maximum(Value a, Value b) { return builder.create<arith::MaximumFOp>(a, b); }
  Value fused(Value a, Value b, Value c) { return builder.create<math::FmaOp>(a, b, c); }
  Value select(Value condition, Value a, Value b) {
    return builder.create<arith::SelectOp>(condition, a, b);
  }
  Value compare(arith::CmpFPredicate predicate, Value a, Value b) {
    return builder.create<arith::CmpFOp>(predicate, a, b);
  }

  /// c0 + c1 x + ..., the coefficients from the highest power down.
  Value polynomial(Value x, std::initializer_list<double> coefficients) {
    Value sum;
    for (double coefficient : coefficients)
      sum = sum ? fused(sum, x, number(coefficient)) : number(coefficient);
    return sum;
  }

  /// x = n log 2 + r with |r| <= log(2) / 2: exp(r) - 1 and, as a float, 2^(n + bias - 127), whose
  /// exponent is in the range of floats.
  void reduce(Value x, Value& expMinusOne, Value& power, int bias = 127) {
    const Value shift = number(0x1.8p23);  // Rounds to an integer, whose bits end the sum's.
    const Value sum = fused(x, number(1.4426950408889634), shift);
    const Value n = builder.create<arith::SubFOp>(sum, shift);
    Value r = fused(n, number(-0x1.62e4p-1), x);
    r = fused(n, number(-1.4286068203094173e-6), r);
    const Value tail = polynomial(r, {1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5});
    expMinusOne = fused(multiply(r, r), tail, r);
    const Value bits = builder.create<arith::BitcastOp>(integers, sum);
    const Value exponent = builder.create<arith::ShLIOp>(bits, integer(23));
    power = builder.create<arith::BitcastOp>(
        type, builder.create<arith::AddIOp>(exponent, integer(bias << 23)).getResult());
  }

  /// Two factors of half the power keep 2^128 finite, so that exp overflows where it should; below
  /// exp(lowest) the result is zero.
  Value exp(Value x) {
    constexpr double highest = 89, lowest = -86.6;
    Value expMinusOne, power;
    reduce(minimum(maximum(x, number(lowest)), number(highest)), expMinusOne, power, 126);
    const Value half = fused(expMinusOne, power, power);
    return select(compare(arith::CmpFPredicate::OLT, x, number(lowest)), number(0),
                  add(half, half));
  }

  /// exp of a number that is not positive.
  Value expNegative(Value x) {
    constexpr double lowest = -87.33655;
    Value expMinusOne, power;
    reduce(maximum(x, number(lowest)), expMinusOne, power);
    const Value result = fused(expMinusOne, power, power);
    return select(compare(arith::CmpFPredicate::OLT, x, number(lowest)), number(0), result);
  }

  /// exp(x) - 1 for x in -87 ... 0, to full relative precision.
  Value expm1(Value x) {
    Value expMinusOne, power;
    reduce(maximum(x, number(-87.0)), expMinusOne, power);
    return fused(expMinusOne, power, subtract(power, number(1)));
  }

  /// The mantissa is brought to sqrt(1/2) ... sqrt(2); log(1 + f) is 2 artanh(f / (2 + f)).
  Value log(Value x) {
    const double infinity = std::numeric_limits<double>::infinity();
    const Value bits = builder.create<arith::BitcastOp>(integers, x);
    const Value offset = builder.create<arith::SubIOp>(bits, integer(0x3f3504f3));
    const Value exponent = builder.create<arith::ShRSIOp>(offset, integer(23));
    const Value mantissa = builder.create<arith::SubIOp>(
        bits, builder.create<arith::ShLIOp>(exponent, integer(23)).getResult());
    const Value f =
        subtract(builder.create<arith::BitcastOp>(type, mantissa).getResult(), number(1));
    const Value n = builder.create<arith::SIToFPOp>(type, exponent);
    const Value s = divide(f, add(f, number(2)));
    const Value z = multiply(s, s);
    const Value tail =
        multiply(z, polynomial(z, {0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693}));
    const Value half = multiply(number(0.5), multiply(f, f));
    // log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + tail)), as fdlibm writes it.
    const Value correction = fused(s, add(half, tail), multiply(n, number(9.0580006145e-6)));
    Value result = subtract(f, subtract(half, correction));
    result = fused(n, number(6.9313812256e-1), result);
    result = select(compare(arith::CmpFPredicate::OEQ, x, number(infinity)), x, result);
    result = select(compare(arith::CmpFPredicate::OEQ, x, number(0)), number(-infinity), result);
    const Value nan = number(std::numeric_limits<double>::quiet_NaN());
    return select(compare(arith::CmpFPredicate::ULT, x, number(0)), nan, result);
  }

  /// log(1 + y) for y in 0 ... 1; what the sum u = 1 + y rounds away counts as (y - (u - 1)) / u.
  Value log1p(Value y) {
    const Value u = builder.create<arith::AddFOp>(y, number(1));
    const Value rounded = builder.create<arith::SubFOp>(u, number(1));
    const Value lost = builder.create<arith::SubFOp>(y, rounded);
    return add(log(u), divide(lost, u));
  }

  Value softplus(Value x) {
    return add(maximum(x, number(0)), log1p(expNegative(negate(absolute(x)))));
  }

  /// exp(-|x|) never overflows: 1 / (1 + e) for x >= 0, e / (1 + e) below.
  Value sigmoid(Value x) {
    const Value e = expNegative(negate(absolute(x)));
    const Value isNegative = compare(arith::CmpFPredicate::OLT, x, number(0));
    return divide(select(isNegative, e, number(1)), add(number(1), e));
  }

  Value tanh(Value x) {
    const Value t = expm1(multiply(number(-2), absolute(x)));
    const Value magnitude = divide(negate(t), add(t, number(2)));
    return builder.create<math::CopySignOp>(magnitude, x);
  }

  /// The quarter turn nearest to x is taken off in three parts, so that what is left is exact to
  /// the last place up to some thousand turns. Which turn it is says which of the two series on
  /// -pi / 4 ... pi / 4 to take, and its sign; cos(x) is sin(x) a quarter turn later.
  Value sine(Value x, int quarters) {
    const Value shift = number(0x1.8p23);
    const Value sum = fused(x, number(0.6366197723675814), shift);
    const Value n = builder.create<arith::SubFOp>(sum, shift);
    Value r = fused(n, number(-1.57079637050628662109375), x);
    r = fused(n, number(4.37113900018624283e-8), r);
    r = fused(n, number(1.71512451006e-15), r);
    const Value z = multiply(r, r);
    const Value odd = fused(
        multiply(r, z), polynomial(z, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}), r);
    const Value even =
        fused(multiply(z, z),
              polynomial(z, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2}),
              fused(z, number(-0.5), number(1)));
    const Value turn = builder.create<arith::AddIOp>(
        builder.create<arith::BitcastOp>(integers, sum).getResult(), integer(quarters));
    const auto hasBit = [&](std::int32_t bit) -> Value {
      const Value set = builder.create<arith::AndIOp>(turn, integer(bit));
      return builder.create<arith::CmpIOp>(arith::CmpIPredicate::ne, set, integer(0));
    };
    const Value magnitude = select(hasBit(1), even, odd);
    return select(hasBit(2), negate(magnitude), magnitude);
  }

  /// 1 above zero, 0 below; a NaN stays one.
  Value step(Value x) {
    const Value isAbove = compare(arith::CmpFPredicate::OGT, x, number(0));
    const Value isNan = compare(arith::CmpFPredicate::UNO, x, x);
    return select(isNan, x, select(isAbove, number(1), number(0)));
  }

  Value elu(Value x) {
    const Value isPositive = compare(arith::CmpFPredicate::OGT, x, number(0));
    return select(isPositive, x, expm1(minimum(x, number(0))));
  }

private:
  ImplicitLocOpBuilder& builder;
  Type type, integers;
  static constexpr arith::FastMathFlags contract = arith::FastMathFlags::contract;
};

}  // namespace

Value createFunction(ImplicitLocOpBuilder& builder, Op op, ArrayRef<Value> operands) {
  const Value x = operands[0];
  Formula formula(builder, x.getType());
  switch (op) {
  case Op::add:
    return formula.add(x, operands[1]);
  case Op::subtract:
    return formula.subtract(x, operands[1]);
  case Op::multiply:
    return formula.multiply(x, operands[1]);
  case Op::divide:
    return formula.divide(x, operands[1]);
  case Op::negate:
    return formula.negate(x);
  case Op::minimum:
    return formula.minimum(x, operands[1]);
  case Op::maximum:
    return formula.maximum(x, operands[1]);
  case Op::exp:
    return formula.exp(x);
  case Op::log:
    return formula.log(x);
  case Op::sqrt:
    return builder.create<math::SqrtOp>(x);
  case Op::rsqrt:
    return formula.divide(formula.number(1), builder.create<math::SqrtOp>(x));
  case Op::abs:
    return formula.absolute(x);
  case Op::tanh:
    return formula.tanh(x);
  case Op::sigmoid:
    return formula.sigmoid(x);
  case Op::logsigmoid:
    return formula.negate(formula.softplus(formula.negate(x)));
  case Op::softplus:
    return formula.softplus(x);
  case Op::relu:
    return formula.maximum(x, formula.number(0));
  case Op::silu:
    return formula.multiply(x, formula.sigmoid(x));
  case Op::elu:
    return formula.elu(x);
  case Op::sin:
    return formula.sine(x, 0);
  case Op::cos:
    return formula.sine(x, 1);
  case Op::step:
    return formula.step(x);
  }
  llvm_unreachable("every scalar operation is in the switch");
}

}  // namespace lathe::cpu
