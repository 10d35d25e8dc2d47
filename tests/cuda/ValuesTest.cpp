// What is emitted for a scan whose decay is one of every channel of V.
#include "tests/cuda/Library.h"

namespace lathe::test {
namespace {

const Tile kPortable{16, 64, 64, 2, 1, 1};
const Tile kHopper{64, 64, 128, 3, 1, 1, Form::sm90a};

TEST(Values, ArePlannedAsAScan) {
  const Plan plan = decayedValuesPlan();
  ASSERT_TRUE(plan.scan);
  EXPECT_EQ(plan.scan->decay, DecayKind::vector);
  EXPECT_EQ(plan.scan->decaySide, Side::value);
}

TEST(Values, HaveTheDecayBetweenScoresAndValuesInThePortableForm) {
  const Plan plan = decayedValuesPlan();
  const KernelSource kernel = emit(plan, Family::scan, signatureOf(plan, 128, 128), kPortable);
  EXPECT_NE(kernel.text.find("decayValues<V>"), std::string::npos);
  EXPECT_NE(kernel.text.find("kDecay = Decay::values"), std::string::npos);
  EXPECT_EQ(kernel.arch, "");
}

/// One warpgroup that brings, one that scores, two that hold the state; the output goes through the
/// copy engine behind the four inputs.
TEST(Values, AreDecayedByThoseWhoHoldTheStateInTheFormForHopper) {
  const Plan plan = decayedValuesPlan();
  const KernelSource kernel = emit(plan, Family::scan, signatureOf(plan, 128, 128), kHopper);
  EXPECT_EQ(kernel.threads, 128 * (1 + 1 + 2));
  EXPECT_EQ(kernel.arch, "sm_90a");
  EXPECT_EQ(kernel.copies.size(), 5u);
  EXPECT_NE(kernel.text.find("kOutputMap = 4"), std::string::npos);
  EXPECT_NE(kernel.text.find("HopperValueScan<lathe::Variant>"), std::string::npos);
  EXPECT_EQ(kernel.text.find("HopperChannelScan"), std::string::npos);
}

TEST(Values, TakeTheFormForHopperWhereItIs) {
  const Plan plan = decayedValuesPlan();
  const Signature signature = signatureOf(plan, 128, 128);
  const Candidates all = candidates(plan, Family::scan, signature, knownDevice("sm_90a"), 128);
  EXPECT_EQ(all.tiles.front().form, Form::sm90a);
  EXPECT_EQ(all.tiles.front().blockV, 128);
  const Candidates portable = candidates(plan, Family::scan, signature, knownDevice("sm_80"), 128);
  EXPECT_EQ(portable.tiles.front().chunk, 16);
}

}  // namespace
}  // namespace lathe::test
