// The scalar functions of the spec language in fp32, and the reductions of a warp.

/// 2^x, at most 2 ulp (PTX ISA, ex2.approx).
__device__ __forceinline__ float exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ float exp(float x) { return exp2(x * kLog2E); }

__device__ __forceinline__ float log(float x) {
  float result;
  asm("lg2.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result * 0.693147180559945309417f;
}

// Both sides of a choice are computed before it, so that it takes no branch.

/// log(1 + x) for 0 <= x <= 1; a series where the sum would swallow x.
__device__ __forceinline__ float log1p(float x) {
  float series = x * (1.0f - x * (0.5f - x * (1.0f / 3.0f))), whole = log(1.0f + x);
  return x < 0.01f ? series : whole;
}

__device__ __forceinline__ float abs(float x) { return fabsf(x); }
__device__ __forceinline__ float sqrt(float x) { return __fsqrt_rn(x); }
__device__ __forceinline__ float rsqrt(float x) {
  float result;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
__device__ __forceinline__ float minimum(float x, float y) { return fminf(x, y); }
__device__ __forceinline__ float maximum(float x, float y) { return fmaxf(x, y); }
/// x / y, at most 2 ulp, without the branches of the exact one (PTX ISA, div.full).
__device__ __forceinline__ float divide(float x, float y) {
  float result;
  asm("div.full.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(y));
  return result;
}
/// 1 / x, at most 1 ulp (PTX ISA, rcp.approx); 0 for infinity.
__device__ __forceinline__ float reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
__device__ __forceinline__ float sigmoid(float x) { return reciprocal(1.0f + exp(-x)); }
__device__ __forceinline__ float softplus(float x) {
  return fmaxf(x, 0.0f) + log1p(exp(-fabsf(x)));
}
__device__ __forceinline__ float logsigmoid(float x) { return -softplus(-x); }
__device__ __forceinline__ float relu(float x) { return fmaxf(x, 0.0f); }
__device__ __forceinline__ float silu(float x) { return x * sigmoid(x); }

/// e^x - 1; a series where the difference would cancel.
__device__ __forceinline__ float expm1(float x) {
  float series = x * (1.0f + x * (0.5f + x * (1.0f / 6.0f))), whole = exp(x) - 1.0f;
  return fabsf(x) < 0.02f ? series : whole;
}
__device__ __forceinline__ float elu(float x) {
  float below = expm1(x);
  return x > 0.0f ? x : below;
}
__device__ __forceinline__ float sin(float x) { return sinf(x); }
__device__ __forceinline__ float cos(float x) { return cosf(x); }
__device__ __forceinline__ float step(float x) { return x > 0.0f ? 1.0f : 0.0f; }
__device__ __forceinline__ float tanh(float x) {
  float e = expm1(-2.0f * fabsf(x));
  return copysignf(divide(-e, e + 2.0f), x);
}

/// Over each LANES neighbouring lanes.
template <int LANES = 32> __device__ __forceinline__ float warpSum(float x) {
#pragma unroll
  for (int offset = LANES / 2; offset > 0; offset /= 2)
    x += __shfl_xor_sync(~0u, x, offset);
  return x;
}

template <int LANES = 32> __device__ __forceinline__ float warpMax(float x) {
#pragma unroll
  for (int offset = LANES / 2; offset > 0; offset /= 2)
    x = fmaxf(x, __shfl_xor_sync(~0u, x, offset));
  return x;
}

/// Folds the upper half of HALF * 2 values onto the lower, each lane keeping those that its bit
/// HALF selects.
template <int HALF> __device__ __forceinline__ void foldValues(float (&x)[16], int lane) {
  bool upper = lane & HALF;
#pragma unroll
  for (int i = 0; i < HALF; ++i) {
    float kept = upper ? x[i + HALF] : x[i];
    float sent = upper ? x[i] : x[i + HALF];
    x[i] = kept + __shfl_xor_sync(~0u, sent, HALF);
  }
}

/// Sums 16 values over the warp; lane i returns the total of value i % 16. A value costs one
/// shuffle instead of five.
__device__ __forceinline__ float warpSum16(float (&x)[16], int lane) {
  foldValues<8>(x, lane);
  foldValues<4>(x, lane);
  foldValues<2>(x, lane);
  foldValues<1>(x, lane);
  return x[0] + __shfl_xor_sync(~0u, x[0], 16);
}
