#include "tuner/Verify.h"

#include "tests/tuner/Support.h"

#include <cmath>

namespace lathe {
namespace {

using test::retentionPlan;
using test::signatureOf;

const Plan plan = retentionPlan();

TEST(Tolerance, IsThatOfTheWeakestLink) {
  EXPECT_EQ(tolerance(plan, signatureOf(plan, DType::bf16), "o"), 0.004);
  EXPECT_EQ(tolerance(plan, signatureOf(plan, DType::f16), "S"), 0.004);
  EXPECT_EQ(tolerance(plan, signatureOf(plan, DType::f32), "o"), 0.001);
  Signature mixed = signatureOf(plan, DType::f32);
  mixed.dtypes[4] = DType::bf16;
  EXPECT_EQ(tolerance(plan, mixed, "o"), 0.004);
  EXPECT_EQ(tolerance(plan, mixed, "S"), 0.001);
  Plan channels = plan;
  channels.scan->decay = DecayKind::vector;
  EXPECT_EQ(tolerance(channels, signatureOf(plan, DType::bf16), "o"), 0.005);
  EXPECT_EQ(tolerance(channels, signatureOf(plan, DType::f16), "o"), 0.004);
  EXPECT_EQ(tolerance(channels, signatureOf(plan, DType::f32), "o"), 0.001);
}

TEST(Tolerance, OfGradients) {
  Plan adjoint = plan;
  adjoint.operands.push_back({.kind = Operand::Kind::input, .name = "g", .dims = {}});
  for (const char* name : {"q", "g", "S"}) {
    adjoint.operands.push_back(
        {.kind = Operand::Kind::output, .name = "d." + std::string(name), .dims = {}});
    EXPECT_EQ(tolerance(adjoint, signatureOf(adjoint, DType::f32), "d." + std::string(name)),
              0.002);
  }
  const Signature half = signatureOf(adjoint, DType::bf16);
  EXPECT_EQ(tolerance(adjoint, half, "d.q"), 0.008);
  EXPECT_EQ(tolerance(adjoint, half, "d.S"), 0.008);
  EXPECT_EQ(tolerance(adjoint, half, "d.g"), 0.02);
}

/// Of a part of a backward pass, which need not take what its gradient is that of.
TEST(Tolerance, OfPartsOfGradients) {
  Plan part = plan;
  part.operands.push_back({.kind = Operand::Kind::output, .name = "d.other", .dims = {"V"}});
  part.operands.push_back({.kind = Operand::Kind::output, .name = "sum.0", .dims = {}});
  EXPECT_EQ(tolerance(part, signatureOf(part, DType::bf16), "d.other"), 0.008);
  EXPECT_EQ(tolerance(part, signatureOf(part, DType::bf16), "sum.0"), 0.02);
  EXPECT_EQ(tolerance(part, signatureOf(part, DType::f32), "sum.0"), 0.001);
}

/// Held against the root of the number of its terms.
TEST(Judge, AConstMayCancel) {
  Plan adjoint = plan;
  adjoint.operands.push_back({.kind = Operand::Kind::constant, .name = "c", .dims = {}});
  adjoint.operands.push_back({.kind = Operand::Kind::output, .name = "d.q", .dims = {"K"}});
  const Signature signature = signatureOf(adjoint, DType::bf16);
  const HostResult expected{{{"d.q", {{1, 100, 1, 1}, std::vector<double>(100, 1.0)}}},
                            {{"d.c", {{1, 1}, {1e-6}}}}};
  HostResult found = expected;
  found.states["d.c"].data[0] = 0.1;
  EXPECT_TRUE(judge(adjoint, signature, found, expected).passed);
  found.states["d.c"].data[0] = 100;
  EXPECT_FALSE(judge(adjoint, signature, found, expected).passed);
}

TEST(Judge, SaysWhichTensorIsOff) {
  Signature signature = signatureOf(plan);
  HostResult expected{{{"o", {{2}, {1, 1}}}}, {{"S", {{1}, {2}}}}};
  HostResult found = expected;
  EXPECT_TRUE(judge(plan, signature, found, expected).passed);
  found.outputs["o"].data[0] = 1.1;
  Verdict verdict = judge(plan, signature, found, expected);
  EXPECT_FALSE(verdict.passed);
  EXPECT_NEAR(verdict.error, 0.0707, 1e-4);
  EXPECT_EQ(verdict.reason, "output 'o' is off by 0.0707 of its RMS, at most 0.004 is right");
  found.states["S"].data[0] = std::nan("");
  EXPECT_EQ(judge(plan, signature, found, expected).reason,
            "output 'o' is off by 0.0707 of its RMS, at most 0.004 is right, state 'S' is off by "
            "inf of its RMS, at most 0.004 is right");
  found.states.clear();
  found.outputs = expected.outputs;
  EXPECT_TRUE(judge(plan, signature, found, expected).passed);
}

TEST(Judge, WhatUnderflowsIsNoMistake) {
  const Signature signature = signatureOf(plan);
  HostResult expected{{{"o", {{2}, {1e-40, -1e-103}}}}, {}}, found{{{"o", {{2}, {0, 0}}}}, {}};
  EXPECT_TRUE(judge(plan, signature, found, expected).passed);
  found.outputs["o"].data[0] = 1e-20;
  EXPECT_FALSE(judge(plan, signature, found, expected).passed);
  found.outputs["o"].data[0] = std::nan("");
  EXPECT_FALSE(judge(plan, signature, found, expected).passed);
}

TEST(Judge, TheSameBits) {
  HostResult a{{{"o", {{2}, {1, 0.0}}}}, {}}, b = a;
  EXPECT_TRUE(identical(a, b));
  b.outputs["o"].data[1] = -0.0;
  EXPECT_FALSE(identical(a, b));
  b = a;
  b.states["S"] = {};
  EXPECT_FALSE(identical(a, b));
}

}  // namespace
}  // namespace lathe
