#include "tests/tuner/Support.h"
#include "tuner/Numbers.h"

#include <cmath>
#include <set>

namespace lathe {
namespace {

using test::retentionPlan;
using test::signatureOf;

const Plan plan = retentionPlan();
const Shape shape{2, 300, 4};

TEST(Draw, ShapesAreThoseOfTheCall) {
  Draw how;
  how.heads["k"] = 2;
  HostCall call = draw(plan, signatureOf(plan, DType::bf16, 32, 48), shape, how);
  EXPECT_EQ(call.tensors.at("q").shape, (std::vector<std::int64_t>{2, 300, 4, 32}));
  EXPECT_EQ(call.tensors.at("k").shape, (std::vector<std::int64_t>{2, 300, 2, 32}));
  EXPECT_EQ(call.tensors.at("gamma").shape, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(call.initial.at("S").shape, (std::vector<std::int64_t>{2, 4, 32, 48}));
  EXPECT_FALSE(call.tensors.contains("o"));
  EXPECT_TRUE(draw(plan, signatureOf(plan), shape, {.initialStates = false}).initial.empty());
}

TEST(Draw, PackedSequencesHaveAStateEach) {
  const Signature signature = signatureOf(plan, DType::bf16, 32, 48);
  const HostCall call = draw(plan, signature, {1, 300, 4}, {.cuSeqlens = {0, 0, 7, 300}});
  EXPECT_EQ(call.cuSeqlens, (std::vector<std::int64_t>{0, 0, 7, 300}));
  EXPECT_EQ(call.sequences({1, 300, 4}), 3);
  EXPECT_EQ(call.tensors.at("q").shape, (std::vector<std::int64_t>{1, 300, 4, 32}));
  EXPECT_EQ(call.initial.at("S").shape, (std::vector<std::int64_t>{3, 4, 32, 48}));
}

TEST(Draw, PoolsHaveTheirOwnRows) {
  const Signature signature = signatureOf(plan, DType::bf16, 32, 48);
  const HostCall call = draw(plan, signature, shape, {.slots = {5, -1}, .pool = 9});
  EXPECT_EQ(call.initial.at("S").shape[0], 9);
  EXPECT_EQ(call.stateRows(shape), 9);
  const HostCall small =
      draw(plan, signature, shape, {.initialStates = false, .slots = {5, -1}, .pool = 9});
  EXPECT_EQ(small.stateRows(shape), 6);
  EXPECT_EQ(draw(plan, signature, shape, {.slots = {-1, -1}}).stateRows(shape), 0);
}

TEST(Draw, TheSameSeedGivesTheSameNumbers) {
  Signature signature = signatureOf(plan);
  HostCall a = draw(plan, signature, shape, {.seed = 7}),
           b = draw(plan, signature, shape, {.seed = 7}),
           c = draw(plan, signature, shape, {.seed = 8});
  EXPECT_EQ(a.tensors.at("q").data, b.tensors.at("q").data);
  EXPECT_EQ(a.initial.at("S").data, b.initial.at("S").data);
  EXPECT_NE(a.tensors.at("q").data, c.tensors.at("q").data);
  EXPECT_NE(a.tensors.at("q").data, a.tensors.at("k").data);
}

TEST(Draw, LongerCallsBeginAlike) {
  // One head and batch: the numbers of a tensor are a function of their index alone.
  Signature signature = signatureOf(plan);
  HostTensor small = draw(plan, signature, {1, 10, 1}, {}).tensors.at("q");
  HostTensor large = draw(plan, signature, {1, 5000, 1}, {}).tensors.at("q");
  EXPECT_TRUE(std::equal(small.data.begin(), small.data.end(), large.data.begin()));
}

TEST(Draw, InputsAreNormalAndOfTheirDtype) {
  for (DType dtype : {DType::bf16, DType::f16, DType::f32}) {
    HostCall call = draw(plan, signatureOf(plan, dtype), shape, {});
    const std::vector<double>& q = call.tensors.at("q").data;
    double sum = 0, squares = 0, fourth = 0;
    for (double x : q) {
      ASSERT_EQ(x, roundTo(dtype, x));
      sum += x;
      squares += x * x;
      fourth += x * x * x * x;
    }
    double n = double(q.size());
    EXPECT_NEAR(sum / n, 0, 0.02);
    EXPECT_NEAR(squares / n, 1, 0.02);
    EXPECT_NEAR(fourth / n, 3, 0.15);
  }
}

TEST(Draw, LogGatesAreNegativeAndScale) {
  Plan gated = plan;
  gated.operands[2].log = true;
  Signature signature = signatureOf(gated, DType::f32);
  HostTensor weak = draw(gated, signature, shape, {}).tensors.at("v");
  HostTensor strong = draw(gated, signature, shape, {.gateScale = 70}).tensors.at("v");
  double mean = 0;
  for (std::size_t i = 0; i < weak.data.size(); ++i) {
    ASSERT_LE(weak.data[i], 0);
    ASSERT_NEAR(strong.data[i], 70 * weak.data[i], 1e-4 + 1e-6 * std::fabs(strong.data[i]));
    mean += weak.data[i] / double(weak.data.size());
  }
  EXPECT_NEAR(mean, -0.806, 0.01);  // of log(sigmoid(normal))
}

TEST(Draw, Params) {
  Signature signature = signatureOf(plan);
  HostTensor gamma = draw(plan, signature, shape, {}).tensors.at("gamma");
  for (int head = 0; head < 4; ++head)
    EXPECT_EQ(gamma.data[head], double(float(std::log1p(-std::exp2(-5 - head)))));
  Plan plain = plan;
  plain.operands[3].log = false;
  HostTensor unit = draw(plain, signature, shape, {}).tensors.at("gamma");
  HostTensor grown = draw(plain, signature, shape, {.gateScale = 70}).tensors.at("gamma");
  for (int head = 0; head < 4; ++head) {
    EXPECT_GE(unit.data[head], 0);
    EXPECT_LT(unit.data[head], 1);
    EXPECT_NEAR(grown.data[head], unit.data[head] + std::log(70), 1e-6);
  }
}

TEST(Draw, RepeatedKeysAreFour) {
  Signature signature = signatureOf(plan);
  HostTensor k = draw(plan, signature, shape, {.repeatedKeys = true}).tensors.at("k");
  std::set<std::vector<double>> rows;
  for (std::size_t i = 0; i < k.data.size(); i += 64)
    rows.insert({k.data.begin() + std::ptrdiff_t(i), k.data.begin() + std::ptrdiff_t(i + 64)});
  EXPECT_EQ(rows.size(), 4u);
}

TEST(Draw, NormalisersArePositive) {
  Plan normalised = plan;
  normalised.scan->normaliser = 5;
  HostCall call = draw(normalised, signatureOf(normalised), shape, {});
  for (double x : call.initial.at("S").data)
    ASSERT_GE(x, 0);
}

TEST(ErrorRatio, IsOfTheRootMeanSquares) {
  HostTensor expected{{2}, {3, 4}}, found{{2}, {3, 4.5}};
  EXPECT_DOUBLE_EQ(errorRatio(found, expected), 0.1);
  EXPECT_EQ(errorRatio(expected, expected), 0);
}

TEST(ErrorRatio, OfWhatCannotBeRight) {
  const double infinity = std::numeric_limits<double>::infinity();
  HostTensor zero{{2}, {0, 0}}, some{{2}, {0, 1e-9}}, nan{{2}, {0, std::nan("")}};
  EXPECT_EQ(errorRatio(some, zero), infinity);
  EXPECT_EQ(errorRatio(nan, some), infinity);
  EXPECT_EQ(errorRatio(nan, zero), infinity);
  EXPECT_EQ(errorRatio(zero, zero), 0);
  EXPECT_EQ(errorRatio({{0}, {}}, {{0}, {}}), 0);
  EXPECT_EQ(errorRatio({{1}, {infinity}}, {{1}, {1}}), infinity);
  EXPECT_THROW(errorRatio(zero, {{1, 2}, {0, 0}}), std::invalid_argument);
}

TEST(ErrorRatio, OfLargeTensorsIsTheSameEachTime) {
  HostTensor a{{1 << 20}, {}}, b{{1 << 20}, {}};
  for (int i = 0; i < 1 << 20; ++i) {
    a.data.push_back(std::sin(i));
    b.data.push_back(std::sin(i) * 1.01);
  }
  double ratio = errorRatio(a, b);
  EXPECT_NEAR(ratio, 0.01 / 1.01, 1e-12);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(errorRatio(a, b), ratio);
}

}  // namespace
}  // namespace lathe
