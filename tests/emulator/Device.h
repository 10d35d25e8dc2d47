// What CUDA C++ has beyond C++, for a generated kernel on this machine.
#pragma once

#include "tests/emulator/Emulator.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define threadIdx ::emulator::thread
#define blockIdx ::emulator::block

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((std::uint64_t(a) * b) >> 32); }
/// Addresses of shared memory count from its start.
inline std::size_t __cvta_generic_to_shared(const void* pointer) {
  return std::size_t(static_cast<const char*>(pointer) - emulator::sharedMemory());
}

inline void __syncthreads() { emulator::meetAt(0, 0); }
inline void __syncwarp(unsigned = ~0u) {
  emulator::Offer offer;
  emulator::meetWarp(offer, nullptr);
}

namespace emulator {

/// Every lane gets the value of lane `from`, its own where there is none.
template <class T> T shuffle(T x, int from) {
  Offer offer;
  std::memcpy(&offer.words[0], &x, sizeof(T));
  offer.words[1] = std::uint64_t(std::int64_t(from));
  meetWarp(offer, [](Offer* const* offers, int count) {
    for (int lane = 0; lane < count; ++lane) {
      const auto wanted = std::int64_t(offers[lane]->words[1]);
      offers[lane]->words[2] = offers[wanted >= 0 && wanted < count ? wanted : lane]->words[0];
    }
  });
  std::memcpy(&x, &offer.words[2], sizeof(T));
  return x;
}

inline int lane() { return int(thread.x % 32); }

}  // namespace emulator

template <class T> T __shfl_sync(unsigned, T x, int from) {
  return emulator::shuffle(x, from % 32);
}
template <class T> T __shfl_xor_sync(unsigned, T x, int mask) {
  return emulator::shuffle(x, emulator::lane() ^ mask);
}
template <class T> T __shfl_up_sync(unsigned, T x, unsigned offset) {
  return emulator::shuffle(x, emulator::lane() - int(offset));
}
template <class T> T __shfl_down_sync(unsigned, T x, unsigned offset) {
  return emulator::shuffle(x, emulator::lane() + int(offset));
}

#include "tests/emulator/Ptx.h"
