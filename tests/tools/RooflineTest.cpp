#include "tools/lathe/Roofline.h"

#include "tests/tools/Support.h"
#include "tools/lathe/KernelOptions.h"

namespace lathe::tool {
namespace {

constexpr double K = 128, V = 128;

TEST(Roofline, BytesOfACall) {
  const Plan plan = libraryVariant("mamba2").plan;
  KernelOptions options;
  options.dims = "V=64";
  const Signature signature = parseSignature(options, plan);
  const Shape shape{8, 4096, 32};
  const double tokens = 8 * 4096, states = 8. * 32 * K * 64 * 4, params = 3 * 32 * 4;
  const double perHead = (64 + 1 + 64) * 2, shared = 2 * K * 2;  // x, dt, y; B, C
  EXPECT_EQ(minBytes(plan, signature, shape, {{"B", 1}, {"C", 1}}, {}),
            tokens * (32 * perHead + shared) + params + states);
  EXPECT_EQ(minBytes(plan, signature, shape, {}, {.isRead = true}),
            tokens * 32 * (perHead + shared) + params + 2 * states);
}

TEST(Roofline, FlopOfAToken) {
  const CompiledVariant gla = libraryVariant("gla");
  constexpr int C = 16;
  const TokenCost cost = tokenCost(gla, parseSignature({}, gla.plan), C);
  EXPECT_EQ(cost.bytes, (3 * K + 2 * V) * 2);
  // Decay and update of the state, its read, the exponential, the scale.
  EXPECT_EQ(cost.flop, 3 * K * V + 2 * K * V + K + V);
  // Read and update of the state; scores with their decay and what they weigh, of the causal half;
  // two running sums, their exponentials and products, and a total; the decay of the state.
  const double once = 2 * K * V + K;
  EXPECT_DOUBLE_EQ(cost.chunkFlop,
                   4 * K * V + (C + 1) / 2. * (3 * K + 2 * V) + 2 * V + 7 * K + once / C);
}

TEST(Roofline, CostOfAGradient) {
  const CompiledVariant gla = libraryVariant("gla");
  const TokenCost cost = gradientCost(gla, parseSignature({}, gla.plan), 16);
  // q, k, g and their gradients; v, its gradient, and that of o.
  EXPECT_EQ(cost.bytes, (6 * K + 3 * V) * 2);
  // The state once more and its read; the flow into it and its decay; the products that give the
  // gradients of q, k, v, g; those of the vectors and of the scale.
  EXPECT_EQ(cost.flop, 5 * K * V + 3 * K * V + 4 * 2 * K * V + 2 * K + 3 * V + 1);
  EXPECT_GT(cost.chunkFlop, 2 * tokenCost(gla, parseSignature({}, gla.plan), 16).chunkFlop);
}

TEST(Roofline, ATriangularSystemCounts) {
  const CompiledVariant delta = libraryVariant("delta_net");
  const Signature signature = parseSignature({}, delta.plan);
  const auto growth = [&](int chunk) {
    return tokenCost(delta, signature, 2 * chunk).chunkFlop -
           tokenCost(delta, signature, chunk).chunkFlop;
  };
  // A token reads half of the others: four scores over K (what is written and what is taken back,
  // for the output and for the system), and four products with rows over V, one of them to solve.
  EXPECT_NEAR(growth(64), 64 / 2. * (4 * 2 * K + 4 * 2 * V), 4 * K);
  const CompiledVariant longhorn = libraryVariant("longhorn");
  EXPECT_EQ(tokenCost(longhorn, parseSignature({}, longhorn.plan), 64).chunkFlop, 0);
}

TEST(Roofline, TheLaterOfMemoryAndTensorCores) {
  const Board& h200 = boardOf("sm_90a");
  Signature signature;
  EXPECT_DOUBLE_EQ(rooflineSeconds(h200, signature, 4.26e12, 0), 1);
  EXPECT_DOUBLE_EQ(rooflineSeconds(h200, signature, 0, 790e12), 1);
  signature.compute = DType::f32;
  EXPECT_DOUBLE_EQ(rooflineSeconds(h200, signature, 0, 790e12), 2);
}

TEST(Roofline, EveryArchitectureThatIsKnownHasABoard) {
  for (const char* arch : {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"})
    EXPECT_EQ(boardOf(arch).arch, knownDevice(arch).arch);
  EXPECT_EQ(errorOf([] { boardOf("sm_70"); }), errorOf([] { knownDevice("sm_70"); }));
}

}  // namespace
}  // namespace lathe::tool
