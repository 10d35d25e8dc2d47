// Rounding to the dtypes of a GPU, against the definitions of IEEE 754.
#include "tuner/Numbers.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

namespace lathe {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::uint16_t bits16(DType dtype, double x) {
  std::uint16_t bits = 0;
  encode(dtype, &x, 1, reinterpret_cast<std::byte*>(&bits));
  return bits;
}

double back(DType dtype, std::uint16_t bits) {
  double x = 0;
  decode(dtype, reinterpret_cast<const std::byte*>(&bits), 1, &x);
  return x;
}

TEST(Numbers, KnownBits) {
  EXPECT_EQ(bits16(DType::bf16, 1.0), 0x3f80);
  EXPECT_EQ(bits16(DType::bf16, -2.5), 0xc020);
  EXPECT_EQ(bits16(DType::bf16, -0.0), 0x8000);
  EXPECT_EQ(bits16(DType::f16, 1.0), 0x3c00);
  EXPECT_EQ(bits16(DType::f16, -2.5), 0xc100);
  EXPECT_EQ(bits16(DType::f16, 65504), 0x7bff);
  EXPECT_EQ(bits16(DType::f16, 0x1p-24), 0x0001);
  EXPECT_EQ(bits16(DType::f16, 0x1p-14), 0x0400);
}

TEST(Numbers, TiesGoToEven) {
  EXPECT_EQ(roundTo(DType::bf16, 1 + 0x1p-8), 1);
  EXPECT_EQ(roundTo(DType::bf16, 1 + 3 * 0x1p-8), 1 + 0x1p-6);
  EXPECT_EQ(roundTo(DType::f16, 1 + 0x1p-11), 1);
  EXPECT_EQ(roundTo(DType::f16, 1 + 3 * 0x1p-11), 1 + 0x1p-9);
  EXPECT_EQ(roundTo(DType::f16, 0x1p-25), 0);
  EXPECT_EQ(roundTo(DType::f16, 3 * 0x1p-25), 0x1p-23);
}

TEST(Numbers, OneRoundingOnly) {
  // By way of fp32 this would first become the tie, and then go down.
  EXPECT_EQ(roundTo(DType::bf16, 1 + 0x1p-8 + 0x1p-40), 1 + 0x1p-7);
  EXPECT_EQ(roundTo(DType::f16, 1 + 0x1p-11 + 0x1p-40), 1 + 0x1p-10);
  EXPECT_EQ(roundTo(DType::bf16, -(1 + 0x1p-8 - 0x1p-40)), -1);
}

TEST(Numbers, OverflowIsInfinite) {
  EXPECT_EQ(roundTo(DType::f16, 65519.9), 65504);
  EXPECT_EQ(roundTo(DType::f16, 65520), infinity);
  EXPECT_EQ(roundTo(DType::bf16, -0x1.ffp127), -infinity);
  EXPECT_EQ(roundTo(DType::f32, 1e39), infinity);
  EXPECT_EQ(bits16(DType::f16, -1e9), 0xfc00);
  EXPECT_TRUE(std::isnan(back(DType::f16, bits16(DType::f16, std::nan("")))));
  EXPECT_TRUE(std::isnan(back(DType::bf16, bits16(DType::bf16, -std::nan("")))));
}

/// Decoding and encoding again must give every pattern back, and halfway to the next must go to the
/// even one.
TEST(Numbers, EveryHalfPrecisionNumber) {
  for (DType dtype : {DType::bf16, DType::f16}) {
    const std::uint16_t infinite = dtype == DType::bf16 ? 0x7f80 : 0x7c00;
    for (std::uint32_t bits = 0; bits < infinite; ++bits) {
      double x = back(dtype, std::uint16_t(bits)), next = back(dtype, std::uint16_t(bits + 1));
      ASSERT_EQ(bits16(dtype, x), bits);
      ASSERT_EQ(bits16(dtype, -x), bits | 0x8000);
      if (bits + 1u == infinite)
        break;
      ASSERT_EQ(bits16(dtype, (x + next) / 2), bits + bits % 2) << bits;
      ASSERT_EQ(bits16(dtype, x + (next - x) * 0.501), bits + 1) << bits;
      ASSERT_EQ(bits16(dtype, x + (next - x) * 0.499), bits) << bits;
    }
  }
}

TEST(Numbers, SinglePrecisionIsThatOfTheProcessor) {
  std::uint64_t state = 1;
  for (int i = 0; i < 200000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    // Fractions of 53 random bits, from far below the least single to far above the largest.
    double x = std::ldexp(double(state >> 11), int(state % 320) - 53 - 170);
    ASSERT_EQ(roundTo(DType::f32, x), double(float(x))) << x;
  }
}

}  // namespace
}  // namespace lathe
