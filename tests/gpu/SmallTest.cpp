// One small call of every family and form: what the emulator (tests/emulator) runs where there is
// no GPU.
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

INSTANTIATE_TEST_SUITE_P(Gpu, Small, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
