// What a caller may pass beside the plain case: gates, heads, dtypes of states, strides, alignment,
// nothing at all.
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

using Calls = VariantTest;

/// A case for every family, for its own number of tokens, changed by `change`.
template <typename Change>
std::vector<Case> everyFamily(const std::string& variant, const Change& change) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {5, 150})
    for (Family family : familiesOf(variant, tokens)) {
      Case one{.variant = variant, .family = family, .shape = {2, tokens, 4}};
      change(one);
      cases.push_back(one);
    }
  return cases;
}

std::vector<Case> operator+(std::vector<Case> a, const std::vector<Case>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_P(Calls, StrongGates) {
  std::vector<Case> cases;
  for (double scale : {8.0, 70.0})
    for (DType dtype : {DType::bf16, DType::f16, DType::f32})
      cases = cases + everyFamily(variant(), [&](Case& one) {
                one.how.gateScale = scale;
                one.dtype = dtype;
              });
  expectRight(cases);
}

TEST_P(Calls, RepeatedKeys) {
  expectRight(everyFamily(variant(), [](Case& one) { one.how.repeatedKeys = true; }));
}

TEST_P(Calls, GroupedHeads) {
  const std::map<std::string, int> groups = variant() == "mamba2"
                                                ? std::map<std::string, int>{{"B", 1}, {"C", 1}}
                                                : std::map<std::string, int>{{"q", 2}, {"k", 2}};
  std::vector<Case> cases;
  for (Layout layout : {Layout::bthd, Layout::bhtd})
    cases = cases + everyFamily(variant(), [&](Case& one) {
              one.how.heads = groups;
              one.placement.layout = layout;
            });
  expectRight(cases);
}

TEST_P(Calls, StatesOfHalfPrecision) {
  std::vector<Case> cases;
  for (DType type : {DType::bf16, DType::f16})
    cases = cases + everyFamily(variant(), [&](Case& one) { one.stateType = type; });
  expectRight(cases);
}

TEST_P(Calls, SliceOfAWiderTensor) {
  std::vector<Case> cases;
  for (int gap : {8, 64})
    for (Layout layout : {Layout::bthd, Layout::bhtd})
      cases = cases + everyFamily(variant(), [&](Case& one) {
                one.placement.layout = layout;
                one.placement.gap = gap;
              });
  expectRight(cases);
}

TEST_P(Calls, UnalignedRows) {
  std::vector<Case> cases;
  for (DType dtype : {DType::bf16, DType::f32})
    for (auto [gap, offset] : {std::pair{0, 1}, {3, 0}, {1, 5}, {0, 2}})
      cases = cases + everyFamily(variant(), [&](Case& one) {
                one.dtype = dtype;
                one.placement.gap = gap;
                one.placement.offset = offset;
              });
  expectRight(cases);
}

TEST_P(Calls, UnalignedStatesOfHalfPrecision) {
  expectRight(everyFamily(variant(), [](Case& one) {
    one.placement.offset = 1;
    one.stateType = DType::bf16;
  }));
}

TEST_P(Calls, WithoutFinalStates) {
  expectRight(everyFamily(variant(), [](Case& one) { one.placement.finalStates = false; }));
}

TEST_P(Calls, StepInPlace) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {1, 3})
    for (int V : {16, 64, 256})
      for (DType type : {DType::f32, DType::bf16})
        for (std::int64_t batch : {1, 64}) {
          Case one{.variant = variant(), .family = Family::step, .V = V};
          one.shape = {batch, tokens, 8};
          one.stateType = type;
          one.placement.inPlace = true;
          cases.push_back(one);
        }
  expectRight(cases);
}

TEST_P(Calls, NoTokens) {
  std::vector<Case> cases;
  for (bool initial : {true, false})
    for (Family family : familiesOf(variant(), 0)) {
      Case one{.variant = variant(), .family = family, .shape = {2, 0, 3}};
      one.how.initialStates = initial;
      cases.push_back(one);
    }
  expectRight(cases);
}

TEST_P(Calls, NoBatch) {
  for (Family family : familiesOf(variant(), 5)) {
    Case one{.variant = variant(), .family = family, .shape = {0, 5, 3}};
    const Plan& plan = variantNamed(variant()).plan;
    DeviceCall call(plan, signatureOf(one), one.shape,
                    draw(plan, signatureOf(one), one.shape, one.how));
    std::unique_ptr<PreparedKernel> kernel = prepare(one);
    EXPECT_EQ(kernel->binder().bind(call.call()).grid, 0u) << describe(one);
    TwoRuns runs = runTwice(*kernel, call);
    for (const auto& [name, tensor] : runs.first.outputs)
      EXPECT_TRUE(tensor.data.empty()) << describe(one) << ' ' << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, Calls, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
