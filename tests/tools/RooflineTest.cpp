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
  const Plan plan = libraryVariant("gla").plan;
  const TokenCost cost = tokenCost(plan, parseSignature({}, plan), 16);
  EXPECT_EQ(cost.bytes, (3 * K + 2 * V) * 2);
  // Decay and update of the state, its read, the scale; constants of the call cost 2.
  EXPECT_NEAR(cost.flop, 3 * K * V + 2 * K * V + V, 2);
  EXPECT_NEAR(cost.chunkFlop, 4 * K * V + 17 * (K + V) + V, 2);
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
