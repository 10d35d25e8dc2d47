// The general form of step and sequential: programs of every shape, and calls as users make them.
#include "tests/cuda/GeneralSpecs.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

struct General : GpuTest, testing::WithParamInterface<Spec> {
  void SetUp() override {
    GpuTest::SetUp();
    addVariant(GetParam().name, GetParam().text);
  }
};

TEST_P(General, IsRightForEveryTile) {
  std::vector<Case> cases;
  for (const Tile& tile : generalTiles)
    for (auto [family, tokens] :
         {std::pair{Family::step, 1}, {Family::step, 5}, {Family::sequential, 70}})
      for (auto [K, V] : {std::pair{32, 64}, {20, 36}})
        for (DType dtype : {DType::f32, DType::bf16})
          cases.push_back({.variant = GetParam().name,
                           .family = family,
                           .dtype = dtype,
                           .K = K,
                           .V = V,
                           .shape = {2, tokens, 2},
                           .tile = tile});
  expectRight(cases);
}

INSTANTIATE_TEST_SUITE_P(Gpu, General, testing::ValuesIn(generalSpecs),
                         [](const auto& info) { return std::string(info.param.name); });

/// Variants of the library that have no other form.
struct GeneralCalls : VariantTest {
  /// A case for each family.
  template <typename Change> std::vector<Case> everyFamily(const Change& change) const {
    std::vector<Case> cases;
    for (auto [family, tokens] : {std::pair{Family::step, 3}, {Family::sequential, 50}}) {
      Case one{.variant = variant(), .family = family, .shape = {2, tokens, 4}};
      one.how.initialStates = variant() == "gsa" || variant() == "vig";
      change(one);
      cases.push_back(one);
    }
    return cases;
  }
};

TEST_P(GeneralCalls, StridesAndHeads) {
  std::vector<Case> cases;
  for (auto [layout, gap, offset] : {std::tuple{Layout::bthd, 8, 0}, {Layout::bhtd, 3, 1}})
    for (const Case& one : everyFamily([&](Case& one) {
           one.placement.layout = layout;
           one.placement.gap = gap;
           one.placement.offset = offset;
           one.how.heads = {{"q", 2}, {"k", 1}};
         }))
      cases.push_back(one);
  expectRight(cases);
}

TEST_P(GeneralCalls, StatesInPlaceAndOfHalfPrecision) {
  std::vector<Case> cases;
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (Case one : everyFamily([&](Case& one) { one.stateType = type; })) {
      one.placement.inPlace = one.family == Family::step;
      cases.push_back(one);
    }
  expectRight(cases);
}

TEST_P(GeneralCalls, NoTokens) {
  expectRight(everyFamily([](Case& one) { one.shape.tokens = 0; }));
}

TEST_P(GeneralCalls, StrongGatesAndRepeatedKeys) {
  std::vector<Case> cases;
  for (double scale : {8.0, 70.0})
    for (const Case& one : everyFamily([&](Case& one) {
           one.how.gateScale = variant() == "gsa" || variant() == "vig" ? scale : 1;
           one.how.repeatedKeys = true;
         }))
      cases.push_back(one);
  expectRight(cases);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GeneralCalls, testing::Values("gsa", "hedgehog", "vig", "mala"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
