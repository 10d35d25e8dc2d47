// Arithmetic on two 16-bit elements in one register (sm_90).

/// Products of the two elements of packed registers, rounded.
template <class T> __device__ __forceinline__ uint32 multiplyPacked(uint32 x, uint32 y);
template <> __device__ __forceinline__ uint32 multiplyPacked<bf16>(uint32 x, uint32 y) {
  uint32 result;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(x), "r"(y));
  return result;
}
template <> __device__ __forceinline__ uint32 multiplyPacked<f16>(uint32 x, uint32 y) {
  uint32 result;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(x), "r"(y));
  return result;
}

/// The larger of the elements of packed registers, place by place.
template <class T> __device__ __forceinline__ uint32 maximumPacked(uint32 x, uint32 y);
template <> __device__ __forceinline__ uint32 maximumPacked<bf16>(uint32 x, uint32 y) {
  uint32 result;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(x), "r"(y));
  return result;
}
template <> __device__ __forceinline__ uint32 maximumPacked<f16>(uint32 x, uint32 y) {
  uint32 result;
  asm("max.f16x2 %0, %1, %2;" : "=r"(result) : "r"(x), "r"(y));
  return result;
}
