#include "tuner/Numbers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace lathe {

namespace {

/// Significand bits with the implicit one, exponent of the least normal number, largest number.
struct Format {
  int precision, minExponent;
  double largest;
};

template <DType dtype> constexpr Format format() {
  if constexpr (dtype == DType::f32)
    return {24, -126, 0x1.fffffep127};
  else if constexpr (dtype == DType::bf16)
    return {8, -126, 0x1.fep127};
  else
    return {11, -14, 65504};
}

/// Adding 1.5 * 2^52 times the spacing of the format at x leaves no bit below that spacing, and the
/// addition of fp64 itself rounds to nearest even.
template <DType dtype> double rounded(double x) {
  constexpr Format f = format<dtype>();
  if (!std::isfinite(x))
    return x;
  int exponent = int(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ff) - 1023;
  int spacing = std::max(exponent, f.minExponent) - (f.precision - 1);
  double magic = 1.5 * std::bit_cast<double>(std::uint64_t(spacing + 52 + 1023) << 52);
  double result = (x + magic) - magic;
  if (std::fabs(result) > f.largest)
    result = std::numeric_limits<double>::infinity();
  return std::copysign(std::fabs(result), x);
}

template <DType dtype> auto bitsOf(double x) {
  std::uint32_t single = std::bit_cast<std::uint32_t>(float(rounded<dtype>(x)));
  if constexpr (dtype == DType::f32) {
    return single;
  } else if constexpr (dtype == DType::bf16) {
    return std::uint16_t(std::isnan(x) ? 0x7fc0 : single >> 16);
  } else {
    std::uint32_t sign = single >> 16 & 0x8000, magnitude = single & 0x7fffffff;
    if (magnitude >= 0x7f800000)
      return std::uint16_t(sign | (std::isnan(x) ? 0x7e00 : 0x7c00));
    if (magnitude >= 0x38800000)  // 2^-14: normal
      return std::uint16_t(sign | (magnitude - 0x38000000) >> 13);
    return std::uint16_t(sign | std::uint32_t(std::bit_cast<float>(magnitude) * 0x1p24f));
  }
}

template <DType dtype, typename Bits> double valueOf(Bits bits) {
  if constexpr (dtype == DType::f32)
    return std::bit_cast<float>(bits);
  else if constexpr (dtype == DType::bf16)
    return std::bit_cast<float>(std::uint32_t(bits) << 16);
  else {
    double sign = bits & 0x8000 ? -1 : 1;
    int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31)
      return fraction ? std::numeric_limits<double>::quiet_NaN()
                      : sign * std::numeric_limits<double>::infinity();
    if (exponent == 0)
      return sign * fraction * 0x1p-24;
    return sign * std::bit_cast<float>(std::uint32_t(exponent - 15 + 127) << 23 |
                                       std::uint32_t(fraction) << 13);
  }
}

/// Calls run.template operator()<dtype>().
template <typename Run> decltype(auto) dispatch(DType dtype, Run&& run) {
  switch (dtype) {
  case DType::f32:
    return run.template operator()<DType::f32>();
  case DType::bf16:
    return run.template operator()<DType::bf16>();
  case DType::f16:
    break;
  }
  return run.template operator()<DType::f16>();
}

}  // namespace

double roundTo(DType dtype, double x) {
  return dispatch(dtype, [&]<DType known> { return rounded<known>(x); });
}

void encode(DType dtype, const double* from, std::int64_t count, std::byte* to) {
  dispatch(dtype, [&]<DType known> {
    for (std::int64_t i = 0; i < count; ++i) {
      auto bits = bitsOf<known>(from[i]);
      std::memcpy(to + i * sizeof(bits), &bits, sizeof(bits));
    }
  });
}

void decode(DType dtype, const std::byte* from, std::int64_t count, double* to) {
  dispatch(dtype, [&]<DType known> {
    using Bits = decltype(bitsOf<known>(0.0));
    for (std::int64_t i = 0; i < count; ++i) {
      Bits bits;
      std::memcpy(&bits, from + i * sizeof(bits), sizeof(bits));
      to[i] = valueOf<known>(bits);
    }
  });
}

}  // namespace lathe
