// The kernels of scans in both directions.
#include "tests/cuda/Library.h"

namespace lathe::test {
namespace {

const Tile kHopperTile{64, 64, 64, 3, 1, 1, Form::sm90a};

TEST(Directions, BothWithoutDecayAreASum) {
  const Plan plan = libraryPlan("relu_linear");
  const Signature signature = signatureOf(plan, 128, 128);
  KernelSource kernel = emit(plan, Family::scan, signature, kHopperTile);
  EXPECT_NE(kernel.text.find("lathe::HopperSum<lathe::Variant>"), std::string::npos);
  EXPECT_TRUE(kernel.segmenting.isSum);
  EXPECT_EQ(kernel.sharedStates.size(), 2u) << "two blocks of a head read both normalisers";
  kernel = emit(plan, Family::scan, signature, {16, 32, 128, 2, 1, 1});
  EXPECT_NE(kernel.text.find("lathe::Sum<lathe::Variant>"), std::string::npos);
  EXPECT_TRUE(kernel.sharedStates.empty());
  const Tile together{128, 64, 64, 3, 1, 1, Form::sm90a};
  EXPECT_EQ(refusal(plan, Family::scan, signature, together),
            "scan of 'relu_linear' with tile " + toString(together) +
                ": chunk must be 64 in the form for sm_90a of a sum over all tokens");
  Signature paired = signatureOf(plan, 128, 64);
  paired.pairedHeads = true;
  const Tile pair{64, 64, 128, 3, 1, 1, Form::sm90a};
  EXPECT_EQ(refusal(plan, Family::scan, paired, pair),
            "scan of 'relu_linear' with tile " + toString(pair) +
                ": a block of two heads takes no sum over all tokens");
}

TEST(Directions, BothWithDecayAreTwoScans) {
  Plan plan = libraryPlan("vig");
  const Signature signature = signatureOf(plan, 128, 128);
  const Tile tile{64, 64, 128, 2, 1, 1, Form::sm90a};
  KernelSource kernel = emit(plan, Family::scan, signature, tile);
  for (const char* way : {"forward", "reverse"})
    EXPECT_NE(
        kernel.text.find("lathe::HopperChannelScan<lathe::" + std::string(way) + "::Variant>"),
        std::string::npos);
  EXPECT_TRUE(kernel.segmenting.isPair);
  EXPECT_EQ(kernel.tensors.size(), 10u) << "five inputs, an output, and two states";
  kernel = emit(plan, Family::scan, signature, {16, 32, 128, 2, 1, 1});
  EXPECT_NE(kernel.text.find("lathe::Scan<lathe::reverse::Variant>"), std::string::npos);
  plan = planOf(R"(variant v(K, V) {
    input q[K], k[K], v[V], f in log
    state S[K, V], R[K, V] in reverse
    S <- exp(f) * S + k * v
    R <- exp(f) * R + k * v
    output o[V] = q @ S + q @ R
  })",
                "v");
  EXPECT_EQ(refusal(plan, Family::scan, signatureOf(plan, 128, 128), kHopperTile),
            "scan of 'v' with tile " + toString(kHopperTile) +
                ": the form for sm_90a takes scans from both ends with a decay of every channel of "
                "K each");
}

}  // namespace
}  // namespace lathe::test
