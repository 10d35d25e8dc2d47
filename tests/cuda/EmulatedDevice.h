// templates/device/types.cuh and math.cuh for the processor, which has none of their instructions.
#pragma once

#include "tests/cuda/EmulatedThreads.h"

namespace lathe {

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;
typedef long long int64;

struct bf16 {
  uint16 bits;
};
struct f16 {
  uint16 bits;
};

inline float toFloat(float x) { return x; }
inline float toFloat(bf16 x) { return __uint_as_float(uint32(x.bits) << 16); }
inline float toFloat(f16 x) { return float(emulatedCast<_Float16>(x)); }

template <class T> T fromFloat(float x);
template <> inline float fromFloat<float>(float x) { return x; }
template <> inline bf16 fromFloat<bf16>(float x) {
  const uint32 bits = __float_as_uint(x);
  return {uint16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> inline f16 fromFloat<f16>(float x) { return emulatedCast<f16>(_Float16(x)); }

inline float exp(float x) { return std::exp(x); }
inline float log(float x) { return std::log(x); }
inline float abs(float x) { return std::fabs(x); }
inline float sqrt(float x) { return std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline float minimum(float x, float y) { return std::fmin(x, y); }
inline float maximum(float x, float y) { return std::fmax(x, y); }
inline float divide(float x, float y) { return x / y; }
inline float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
inline float softplus(float x) { return std::fmax(x, 0.0f) + std::log1p(std::exp(-std::fabs(x))); }
inline float logsigmoid(float x) { return -softplus(-x); }
inline float relu(float x) { return std::fmax(x, 0.0f); }
inline float silu(float x) { return x * sigmoid(x); }
inline float elu(float x) { return x > 0 ? x : std::expm1(x); }
inline float sin(float x) { return std::sin(x); }
inline float cos(float x) { return std::cos(x); }
inline float tanh(float x) { return std::tanh(x); }
inline float step(float x) { return x > 0 ? 1.0f : 0.0f; }

inline float warpSum(float x) {
  for (int offset = 16; offset > 0; offset /= 2)
    x += __shfl_xor_sync(~0u, x, offset);
  return x;
}
inline float warpMax(float x) {
  for (int offset = 16; offset > 0; offset /= 2)
    x = std::fmax(x, __shfl_xor_sync(~0u, x, offset));
  return x;
}

}  // namespace lathe
