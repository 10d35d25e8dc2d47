// Element types and their conversions. No header is included anywhere in templates/: a kernel
// compiles in about a second.

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

constexpr float kLog2E = 1.44269504088896340736f;

__device__ __forceinline__ float toFloat(float x) { return x; }
__device__ __forceinline__ float toFloat(bf16 x) { return __uint_as_float(uint32(x.bits) << 16); }
__device__ __forceinline__ float toFloat(f16 x) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
  return result;
}

/// Round to nearest even.
template <class T> __device__ __forceinline__ T fromFloat(float x);
template <> __device__ __forceinline__ float fromFloat<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 fromFloat<bf16>(float x) {
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
}
template <> __device__ __forceinline__ f16 fromFloat<f16>(float x) {
  f16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
}

/// Two 16-bit elements in one register, `low` at the lower address.
template <class T> __device__ __forceinline__ uint32 pack(float low, float high);
template <> __device__ __forceinline__ uint32 pack<bf16>(float low, float high) {
  uint32 result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}
template <> __device__ __forceinline__ uint32 pack<f16>(float low, float high) {
  uint32 result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

template <class T> __device__ __forceinline__ float2 unpack(uint32 x) {
  return make_float2(toFloat(T{uint16(x)}), toFloat(T{uint16(x >> 16)}));
}

/// The two elements of a packed register times two factors, rounded once.
template <class T> __device__ __forceinline__ uint32 scalePacked(uint32 x, float low, float high) {
  float2 both = unpack<T>(x);
  return pack<T>(both.x * low, both.y * high);
}
