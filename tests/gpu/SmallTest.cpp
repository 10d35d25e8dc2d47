// One small call of every family and form: what the emulator (tests/emulator) runs where there is
// no GPU.
#include "runtime/Device.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

using Small = VariantTest;

TEST_P(Small, EveryFamilyAndFormIsRight) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {3, 150}) {
    Case one{.variant = variant(), .shape = {1, tokens, 2}, .how = {}};
    for (const Case& each : everyFamily(one))
      cases.push_back(each);
  }
  expectRight(cases);
}

/// Two heads a block and three segments of one chunk each, the last of which is not whole.
TEST_P(Small, PairsInSegmentsAreRight) {
  if (variant() != "mamba2" && variant() != "retnet")
    GTEST_SKIP() << "no scan with one decay a token or none, whose rows are as they are";
  if (deviceInfo(device).limits.arch != name(Form::sm90a))
    GTEST_SKIP() << "this GPU is no sm_90a";
  const bool mamba = variant() == "mamba2";
  Case one{.variant = variant(), .K = 64, .V = 64, .shape = {1, 150, 2}};
  one.how.heads = {{mamba ? "C" : "q", 1}, {mamba ? "B" : "k", 1}};
  one.pairedHeads = true;
  one.tile = Tile{64, 64, 128, 2, 1, 1, Form::sm90a, 3};
  expectRight({one});
}

/// Scans of the backward pass: that of the queries, and, from the last token to the first, those of
/// the keys and values.
using BackwardScans = VariantTest;

TEST_P(BackwardScans, EveryFormIsRight) {
  std::vector<Case> cases;
  for (const std::int64_t tokens : {1, 64, 150})
    for (const double strength : {1.0, 70.0}) {
      Case one{.variant = variant(), .shape = {1, tokens, 2}};
      one.how.gateScale = strength;
      // The last decay comes behind all that is written: a strong one leaves nothing that fp32 has.
      one.placement.finalStates = strength == 1.0;
      for (const Case& each : everyForm(one))
        cases.push_back(each);
    }
  expectRight(cases);
}

TEST_P(BackwardScans, PackedSequencesAreRight) {
  Case one{.variant = variant(), .shape = {1, 150, 2}};
  one.how.cuSeqlens = {0, 70, 70, 150};
  expectRight(everyForm(one));
}

INSTANTIATE_TEST_SUITE_P(Gpu, BackwardScans,
                         testing::Values("retnet_query", "retnet_key", "retnet_value",
                                         "simple_gla_query", "simple_gla_key", "simple_gla_value",
                                         "mamba2_query", "mamba2_key", "mamba2_value"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Gpu, Small, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });
INSTANTIATE_TEST_SUITE_P(GpuSum, Small, testing::Values("relu_linear", "vig"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
