#include "compiler/dialect/Features.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;

namespace lathe {

/// Keeps the squares of a norm away from zero, as the kernels of flash-linear-attention do (l2norm,
/// rmsnorm).
static constexpr double normEpsilon = 1e-6;

/// The base of the wave lengths of rotary embeddings (Su et al. 2021, section 3.2).
static constexpr double rotaryBase = 10000;

static std::optional<Op> elementwise(StringRef function) {
  return llvm::StringSwitch<std::optional<Op>>(function)
      .Case("exp", Op::exp)
      .Case("log", Op::log)
      .Case("sigmoid", Op::sigmoid)
      .Case("logsigmoid", Op::logsigmoid)
      .Case("softplus", Op::softplus)
      .Case("tanh", Op::tanh)
      .Case("sin", Op::sin)
      .Case("cos", Op::cos)
      .Case("relu", Op::relu)
      .Case("silu", Op::silu)
      .Case("elu", Op::elu)
      .Case("abs", Op::abs)
      .Case("sqrt", Op::sqrt)
      .Case("rsqrt", Op::rsqrt)
      .Case("min", Op::minimum)
      .Case("max", Op::maximum)
      .Default(std::nullopt);
}

/// x / |x|, or x over its root mean square.
static Value buildNorm(TokenBuilder& builder, Value x, StringRef dim, bool isMean) {
  Value square = builder.sum(builder.map(Op::multiply, {x, x}), dim);
  if (isMean)
    square = builder.map(Op::divide, {square, builder.dim(dim)});
  const Value padded = builder.map(Op::add, {square, builder.literal(normEpsilon)});
  return builder.map(Op::multiply, {x, builder.map(Op::rsqrt, padded)});
}

static Value buildSoftmax(TokenBuilder& builder, Value x, StringRef dim) {
  const Value weights = builder.map(Op::exp, builder.map(Op::subtract, {x, builder.max(x, dim)}));
  return builder.map(Op::divide, {weights, builder.sum(weights, dim)});
}

/// Elements d and d + n/2 turn by position * base^(-2 (d mod n/2) / n).
static Value buildRope(TokenBuilder& builder, Value x, StringRef dim) {
  const auto apply = [&](Op op, Value a, Value b) { return builder.map(op, {a, b}); };
  const Value size = builder.dim(dim), index = builder.index(dim);
  const Value half = apply(Op::multiply, builder.literal(0.5), size);
  const Value beyond = apply(Op::add, apply(Op::subtract, index, half), builder.literal(0.5));
  const Value inUpper = builder.map(Op::step, beyond);
  const Value pair = apply(Op::subtract, index, apply(Op::multiply, half, inUpper));
  const Value rate = builder.literal(-2 * std::log(rotaryBase));
  const Value frequency =
      builder.map(Op::exp, apply(Op::multiply, rate, apply(Op::divide, pair, size)));
  const Value angle = apply(Op::multiply, builder.position(), frequency);
  return apply(Op::add, apply(Op::multiply, x, builder.map(Op::cos, angle)),
               apply(Op::multiply, builder.rotate(x, dim), builder.map(Op::sin, angle)));
}

Value buildCall(TokenBuilder& builder, StringRef function, ValueRange args, StringRef dim,
                StringRef derived) {
  if (const std::optional<Op> op = elementwise(function))
    return builder.map(*op, args);
  if (function == "clamp")
    return builder.map(Op::minimum, {builder.map(Op::maximum, {args[0], args[1]}), args[2]});
  if (function == "sum")
    return builder.sum(args[0], dim);
  if (function == "l2norm" || function == "rmsnorm")
    return buildNorm(builder, args[0], dim, function == "rmsnorm");
  if (function == "softmax")
    return buildSoftmax(builder, args[0], dim);
  if (function == "rope")
    return buildRope(builder, args[0], dim);
  if (function == "taylor2")
    return builder.taylor(args[0], dim, derived);
  llvm::report_fatal_error("the checker accepted a function that lowering does not know: " +
                           function);
}

}  // namespace lathe
