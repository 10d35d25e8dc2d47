// Head dims: every pair in bf16, and a few in the other dtypes and families.
#include "tests/gpu/Support.h"

#include <thread>

namespace lathe::test {
namespace {

using Dims = VariantTest;

constexpr int sizes[] = {16, 32, 60, 64, 100, 128, 256};
constexpr int some[][2] = {{16, 16},  {32, 64},   {60, 100}, {100, 60},
                           {64, 256}, {128, 128}, {256, 16}, {256, 256}};

/// The family that runs many tokens.
Family own(const std::string& variant) { return familiesOf(variant, 1000).front(); }

std::vector<Case> few(const std::string& variant, Family family, DType dtype, std::int64_t tokens) {
  std::vector<Case> cases;
  for (auto [K, V] : some)
    cases.push_back({.variant = variant,
                     .family = family,
                     .dtype = dtype,
                     .K = K,
                     .V = V,
                     .shape = {1, tokens, 2}});
  return cases;
}

TEST_P(Dims, EveryPairBf16) {
  std::vector<Case> cases;
  for (int K : sizes)
    for (int V : sizes)
      cases.push_back(
          {.variant = variant(), .family = own(variant()), .K = K, .V = V, .shape = {1, 40, 2}});
  expectRight(cases);
}

TEST_P(Dims, SomeF16) { expectRight(few(variant(), own(variant()), DType::f16, 70)); }
TEST_P(Dims, SomeF32) { expectRight(few(variant(), own(variant()), DType::f32, 70)); }
TEST_P(Dims, StepBf16) { expectRight(few(variant(), Family::step, DType::bf16, 3)); }
TEST_P(Dims, StepF32) { expectRight(few(variant(), Family::step, DType::f32, 3)); }
TEST_P(Dims, SequentialBf16) { expectRight(few(variant(), Family::sequential, DType::bf16, 40)); }

INSTANTIATE_TEST_SUITE_P(Gpu, Dims, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

/// The largest call: 16.8 million numbers a tensor, the interpreter on all cores.
using Large = VariantTest;

TEST_P(Large, T4096H16K256V256) {
  EXPECT_EQ(failureOf({.variant = variant(),
                       .family = own(variant()),
                       .K = 256,
                       .V = 256,
                       .shape = {1, 4096, 16}},
                      int(std::thread::hardware_concurrency())),
            "");
}

INSTANTIATE_TEST_SUITE_P(Gpu, Large, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
