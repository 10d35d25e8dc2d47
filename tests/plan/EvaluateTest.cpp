// The scalar operations where their textbook formula overflows or cancels.
#include "compiler/plan/Evaluate.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();

TEST(Evaluate, StaysFiniteFarFromZero) {
  EXPECT_EQ(evaluate(Op::sigmoid, 1000), 1);
  EXPECT_EQ(evaluate(Op::sigmoid, -1000), 0);
  EXPECT_EQ(evaluate(Op::softplus, 1000), 1000);
  EXPECT_EQ(evaluate(Op::softplus, -1000), 0);
  EXPECT_EQ(evaluate(Op::logsigmoid, -1000), -1000);
  EXPECT_EQ(evaluate(Op::logsigmoid, 1000), 0);
  EXPECT_EQ(evaluate(Op::silu, -1000), 0);
  EXPECT_EQ(evaluate(Op::elu, -1000), -1);
}

TEST(Evaluate, KeepsDigitsNearZero) {
  EXPECT_DOUBLE_EQ(evaluate(Op::elu, -1e-12), -1e-12 + 0.5e-24);
  EXPECT_DOUBLE_EQ(evaluate(Op::softplus, -40), std::exp(-40.0));
  EXPECT_DOUBLE_EQ(evaluate(Op::logsigmoid, 40), -std::exp(-40.0));
}

TEST(Evaluate, IsTheFormulaInBetween) {
  for (double x : {-3.0, -0.5, 0.0, 0.7, 4.0}) {
    const double sigmoid = 1 / (1 + std::exp(-x));
    EXPECT_NEAR(evaluate(Op::sigmoid, x), sigmoid, 1e-15);
    EXPECT_NEAR(evaluate(Op::logsigmoid, x), std::log(sigmoid), 1e-15);
    EXPECT_NEAR(evaluate(Op::softplus, x), std::log(1 + std::exp(x)), 1e-15);
    EXPECT_NEAR(evaluate(Op::silu, x), x * sigmoid, 1e-15);
    EXPECT_NEAR(evaluate(Op::elu, x), x > 0 ? x : std::exp(x) - 1, 1e-15);
    EXPECT_EQ(evaluate(Op::relu, x), x > 0 ? x : 0);
    EXPECT_EQ(evaluate(Op::step, x), x > 0 ? 1 : 0);
    EXPECT_EQ(evaluate(Op::sin, x), std::sin(x));
    EXPECT_EQ(evaluate(Op::cos, x), std::cos(x));
    EXPECT_EQ(evaluate(Op::minimum, x, 0.5), std::min(x, 0.5));
    EXPECT_EQ(evaluate(Op::subtract, x, 2), x - 2);
  }
}

TEST(Evaluate, NeverHidesWhatIsNotANumber) {
  for (int i = 0; i < opCount; ++i)
    EXPECT_TRUE(std::isnan(evaluate(static_cast<Op>(i), notANumber, 1)))
        << name(static_cast<Op>(i));
  EXPECT_TRUE(std::isnan(evaluate(Op::maximum, 1, notANumber)));
  EXPECT_TRUE(std::isnan(evaluate(Op::minimum, 1, notANumber)));
  EXPECT_EQ(evaluate(Op::maximum, -infinity, 1), 1);
}

TEST(Evaluate, KnowsHowManyOperands) {
  EXPECT_EQ(arity(Op::divide), 2);
  EXPECT_EQ(arity(Op::maximum), 2);
  EXPECT_EQ(arity(Op::negate), 1);
  EXPECT_EQ(arity(Op::elu), 1);
  EXPECT_EQ(arity(Op::step), 1);
}

}  // namespace
}  // namespace lathe
