// How blocks of one launch wait for each other: numbers in global memory (PTX ISA 8, the memory
// consistency model).

struct Counter {
  uint32* address;

  /// Adds 1 and gives the number before. Who sees the sum sees what this thread wrote, and what
  /// this thread had seen of others; and this thread sees what those who added before had.
  __device__ __forceinline__ uint32 add() const {
    uint32 before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                 : "=r"(before)
                 : "l"(address)
                 : "memory");
    return before;
  }
  /// Adds 1: who sees the sum sees what this thread wrote, and what it had seen of others.
  __device__ __forceinline__ void post() const {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(address) : "memory");
  }
  /// Returns when others have made it `count` or more.
  __device__ __forceinline__ void waitFor(uint32 count) const {
    uint32 seen;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(address) : "memory");
    } while (seen < count);
  }
};

/// What another block wrote: not from the first-level cache, which may have what was there before.
__device__ __forceinline__ uint4 loadFresh16(const void* global) {
  uint4 x;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(global)
               : "memory");
  return x;
}
__device__ __forceinline__ float loadFresh(const float* global) {
  float x;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(x) : "l"(global) : "memory");
  return x;
}
