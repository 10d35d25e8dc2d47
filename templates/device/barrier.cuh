// Barriers in shared memory and the order between the ordinary and the asynchronous proxy (sm_90).

/// The first multiple of BYTES in shared memory from `shared` on.
template <int BYTES> __device__ __forceinline__ char* alignShared(char* shared) {
  return shared + (-sharedAddress(shared) & (BYTES - 1));
}

/// PTX ISA 9.7.13.15, mbarrier. A phase ends when `count` arrivals have come.
struct Barrier {
  uint32 address;

  __device__ __forceinline__ explicit Barrier(const void* shared)
      : address(sharedAddress(shared)) {}

  __device__ __forceinline__ void init(int count) const {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(count) : "memory");
  }
  __device__ __forceinline__ void arrive() const {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address) : "memory");
  }
  /// Arrives once all earlier cp.async of this thread have written; `count` includes this arrival
  /// (PTX ISA, cp.async.mbarrier.arrive).
  __device__ __forceinline__ void arriveAfterCopies() const {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(address) : "memory");
  }
  /// Returns when the phase of this parity has ended; a new barrier's earlier phase, of parity 1,
  /// counts as ended.
  __device__ __forceinline__ void wait(int parity) const {
    uint32 done;
    do {
      asm volatile("{\n.reg .pred p;\n"
                   "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                   "selp.u32 %0, 1, 0, p;\n}"
                   : "=r"(done)
                   : "r"(address), "r"(parity)
                   : "memory");
    } while (!done);
  }
};

/// Where the 128 threads of one warpgroup meet; ID from 1 to 15, 0 being that of __syncthreads.
template <int ID> __device__ __forceinline__ void syncWarpgroup() {
  asm volatile("bar.sync %0, 128;" ::"n"(ID) : "memory");
}

/// 16 bytes that exist, to shared memory.
__device__ __forceinline__ void copyAsync16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(sharedAddress(shared)), "l"(global)
               : "memory");
}

/// One store, which the compiler may not take apart.
__device__ __forceinline__ void storeGlobal16(void* global, uint4 x) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(x.x), "r"(x.y),
               "r"(x.z), "r"(x.w)
               : "memory");
}

/// Orders this thread's, and what it has waited for of others', ordinary accesses to shared memory
/// before its later asynchronous ones: those of wgmma. It waits for the stores to global memory
/// of its warp, too (PTX ISA 9.7.13.4, fence.proxy).
__device__ __forceinline__ void fenceAsyncProxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Registers of every thread of this warpgroup from here on (PTX ISA 9.7.20.5, setmaxnreg).
template <int COUNT> __device__ __forceinline__ void raiseRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void lowerRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}
