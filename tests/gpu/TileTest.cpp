// Every tile that tuning may choose, and the same bits from each run.
#include "runtime/Device.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

using Tiles = VariantTest;

std::vector<Case> everyTile(Case one) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {5, 150})
    for (Family family : familiesOf(one.variant, tokens)) {
      if (tokens == 5 && family != Family::step)
        continue;
      one.family = family;
      one.shape = {2, tokens, 2};
      const Candidates all =
          candidates(variantNamed(one.variant).plan, family, signatureOf(one),
                     deviceInfo(device).limits, one.shape.batch * one.shape.heads);
      for (const Tile& tile : all.tiles) {
        one.tile = tile;
        cases.push_back(one);
      }
    }
  return cases;
}

TEST_P(Tiles, AllBf16) { expectRight(everyTile({.variant = variant(), .K = 64, .V = 128})); }

TEST_P(Tiles, AllF32OfAwkwardDims) {
  expectRight(everyTile({.variant = variant(), .dtype = DType::f32, .K = 100, .V = 60}));
}

TEST_P(Tiles, TwentyRunsGiveTheSameBits) {
  for (Family family : familiesOf(variant(), 1000)) {
    Case one{.variant = variant(), .family = family, .K = 128, .V = 128, .shape = {2, 1000, 8}};
    const Plan& plan = variantNamed(variant()).plan;
    const Signature signature = signatureOf(one);
    DeviceCall call(plan, signature, one.shape, draw(plan, signature, one.shape, one.how));
    std::unique_ptr<PreparedKernel> kernel = prepare(one);
    const HostResult first = runTwice(*kernel, call).first;
    for (int run = 2; run < 20; run += 2) {
      TwoRuns runs = runTwice(*kernel, call);
      ASSERT_TRUE(identical(first, runs.first)) << describe(one) << ", run " << run;
      ASSERT_TRUE(identical(first, runs.second)) << describe(one) << ", run " << run + 1;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, Tiles, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
