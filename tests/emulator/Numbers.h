// Conversions, and arithmetic that PTX has and C++ does not.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace emulator {

struct Bf16 {
  static float decode(std::uint16_t bits) {
    return std::bit_cast<float>(std::uint32_t(bits) << 16);
  }
  /// To the nearest, ties to even.
  static std::uint16_t encode(float x) {
    auto bits = std::bit_cast<std::uint32_t>(x);
    if (std::isnan(x))
      return 0x7fff;
    return std::uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
};

struct F16 {
  static float decode(std::uint16_t bits) { return float(std::bit_cast<_Float16>(bits)); }
  static std::uint16_t encode(float x) { return std::bit_cast<std::uint16_t>(_Float16(x)); }
};

template <class Element> std::uint32_t encodePair(float low, float high) {
  return Element::encode(low) | std::uint32_t(Element::encode(high)) << 16;
}

template <class Element, class Function>
std::uint32_t eachOfPair(std::uint32_t x, std::uint32_t y, Function f) {
  return encodePair<Element>(
      f(Element::decode(std::uint16_t(x)), Element::decode(std::uint16_t(y))),
      f(Element::decode(std::uint16_t(x >> 16)), Element::decode(std::uint16_t(y >> 16))));
}

}  // namespace emulator

namespace ptx {

using emulator::Bf16;
using emulator::F16;

inline void cvt_f32_f16(float& x, std::uint16_t bits) { x = F16::decode(bits); }
inline void cvt_rn_bf16_f32(std::uint16_t& bits, float x) { bits = Bf16::encode(x); }
inline void cvt_rn_f16_f32(std::uint16_t& bits, float x) { bits = F16::encode(x); }
inline void cvt_rn_bf16x2_f32(std::uint32_t& pair, float high, float low) {
  pair = emulator::encodePair<Bf16>(low, high);
}
inline void cvt_rn_f16x2_f32(std::uint32_t& pair, float high, float low) {
  pair = emulator::encodePair<F16>(low, high);
}
inline void cvt_rna_tf32_f32(std::uint32_t& bits, float x) {
  bits = (std::bit_cast<std::uint32_t>(x) + 0x1000) & 0xffffe000;
}

inline void ex2_approx_ftz_f32(float& y, float x) { y = std::exp2(x); }
inline void lg2_approx_f32(float& y, float x) { y = std::log2(x); }
inline void rsqrt_approx_f32(float& y, float x) { y = 1 / std::sqrt(x); }
inline void rcp_approx_ftz_f32(float& y, float x) { y = 1 / x; }
inline void div_full_f32(float& z, float x, float y) { z = x / y; }

inline void mul_rn_bf16x2(std::uint32_t& z, std::uint32_t x, std::uint32_t y) {
  z = emulator::eachOfPair<Bf16>(x, y, [](float a, float b) { return a * b; });
}
inline void mul_rn_f16x2(std::uint32_t& z, std::uint32_t x, std::uint32_t y) {
  z = emulator::eachOfPair<F16>(x, y, [](float a, float b) { return a * b; });
}
inline void max_bf16x2(std::uint32_t& z, std::uint32_t x, std::uint32_t y) {
  z = emulator::eachOfPair<Bf16>(x, y, [](float a, float b) { return std::fmax(a, b); });
}
inline void max_f16x2(std::uint32_t& z, std::uint32_t x, std::uint32_t y) {
  z = emulator::eachOfPair<F16>(x, y, [](float a, float b) { return std::fmax(a, b); });
}

}  // namespace ptx
