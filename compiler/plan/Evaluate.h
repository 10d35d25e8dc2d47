// The scalar operations of a plan in double precision: what folding and the interpreter mean by
// them.
#pragma once

#include "compiler/plan/Plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe {

/// How many operands an operation has: 1 or 2.
constexpr int arity(Op op) {
  return op < Op::negate || op == Op::minimum || op == Op::maximum ? 2 : 1;
}

inline double logSigmoid(double x) {
  return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x));
}

/// 1 / (1 + exp(-x)) whose exponential never overflows.
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

/// One operation; `b` is ignored where the operation has one operand. minimum and maximum pass a
/// NaN on, as arith's do.
template <Op op> inline double evaluate(double a, [[maybe_unused]] double b) {
  if constexpr (op == Op::add)
    return a + b;
  else if constexpr (op == Op::subtract)
    return a - b;
  else if constexpr (op == Op::multiply)
    return a * b;
  else if constexpr (op == Op::divide)
    return a / b;
  else if constexpr (op == Op::negate)
    return -a;
  else if constexpr (op == Op::minimum)
    return a != a ? a : b != b ? b : std::min(a, b);
  else if constexpr (op == Op::maximum)
    return a != a ? a : b != b ? b : std::max(a, b);
  else if constexpr (op == Op::exp)
    return std::exp(a);
  else if constexpr (op == Op::log)
    return std::log(a);
  else if constexpr (op == Op::sqrt)
    return std::sqrt(a);
  else if constexpr (op == Op::rsqrt)
    return 1 / std::sqrt(a);
  else if constexpr (op == Op::abs)
    return std::abs(a);
  else if constexpr (op == Op::tanh)
    return std::tanh(a);
  else if constexpr (op == Op::sigmoid)
    return sigmoid(a);
  else if constexpr (op == Op::logsigmoid)
    return logSigmoid(a);
  else if constexpr (op == Op::softplus)
    return -logSigmoid(-a);
  else if constexpr (op == Op::relu)
    return a != a ? a : std::max(a, 0.0);
  else if constexpr (op == Op::silu)
    return a * sigmoid(a);
  else if constexpr (op == Op::elu)
    return a > 0 ? a : std::expm1(a);
  else if constexpr (op == Op::sin)
    return std::sin(a);
  else if constexpr (op == Op::cos)
    return std::cos(a);
  else {
    static_assert(op == Op::step);
    return a != a ? a : a > 0 ? 1 : 0;
  }
}

/// Calls `f.template operator()<op>()` for an operation known at run time only.
template <typename F> decltype(auto) dispatch(Op op, F&& f) {
  switch (op) {
#define LATHE_CASE(name)                                                                           \
  case Op::name:                                                                                   \
    return f.template operator()<Op::name>();
    LATHE_CASE(add)
    LATHE_CASE(subtract)
    LATHE_CASE(multiply)
    LATHE_CASE(divide)
    LATHE_CASE(negate)
    LATHE_CASE(minimum)
    LATHE_CASE(maximum)
    LATHE_CASE(exp)
    LATHE_CASE(log)
    LATHE_CASE(sqrt)
    LATHE_CASE(rsqrt)
    LATHE_CASE(abs)
    LATHE_CASE(tanh)
    LATHE_CASE(sigmoid)
    LATHE_CASE(logsigmoid)
    LATHE_CASE(softplus)
    LATHE_CASE(relu)
    LATHE_CASE(silu)
    LATHE_CASE(elu)
    LATHE_CASE(sin)
    LATHE_CASE(cos)
    LATHE_CASE(step)
#undef LATHE_CASE
  }
  __builtin_unreachable();
}

inline double evaluate(Op op, double a, double b = 0) {
  return dispatch(op, [&]<Op known> { return evaluate<known>(a, b); });
}

}  // namespace lathe
