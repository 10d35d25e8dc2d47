// Lengths, layouts, dtypes, families, with and without an initial state.
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

using Length = VariantTest;

constexpr std::int64_t lengths[] = {1, 15, 16, 63, 64, 100, 1000, 4096};

std::vector<Case> everyLength(const std::string& variant, DType dtype, int K, int V) {
  std::vector<Case> cases;
  for (std::int64_t tokens : lengths)
    for (Family family : familiesOf(variant, tokens))
      for (Layout layout : {Layout::bthd, Layout::bhtd})
        for (bool initial : {true, false}) {
          Case one{.variant = variant, .family = family, .dtype = dtype, .K = K, .V = V};
          one.shape = tokens > 1000 ? Shape{1, tokens, 2} : Shape{2, tokens, 3};
          one.how.initialStates = initial;
          one.placement.layout = layout;
          cases.push_back(one);
        }
  // The longest first, so that no core waits for one at the end.
  return {cases.rbegin(), cases.rend()};
}

TEST_P(Length, Bf16) { expectRight(everyLength(variant(), DType::bf16, 64, 64)); }
TEST_P(Length, F16) { expectRight(everyLength(variant(), DType::f16, 64, 64)); }
TEST_P(Length, F32) { expectRight(everyLength(variant(), DType::f32, 64, 64)); }
TEST_P(Length, Bf16OfAwkwardDims) { expectRight(everyLength(variant(), DType::bf16, 100, 60)); }

INSTANTIATE_TEST_SUITE_P(Gpu, Length, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
