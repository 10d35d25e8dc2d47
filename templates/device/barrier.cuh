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
  __device__ __forceinline__ void arrive(int count = 1) const {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(count)
                 : "memory");
  }
  /// The phase ends no sooner than so many more bytes have been copied.
  __device__ __forceinline__ void expect(int bytes) const {
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(address),
                 "r"(bytes)
                 : "memory");
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

/// The box of the tensor that begins at these indices, innermost axis first, to shared memory; the
/// barrier counts its bytes (PTX ISA 9.7.9.27, cp.async.bulk.tensor).
__device__ __forceinline__ void copyBox(const TensorMap& map, void* shared, Barrier barrier,
                                        int column, int token, int head, int batch) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
               "[%1, {%2, %3, %4, %5}], [%6];" ::"r"(sharedAddress(shared)),
               "l"(&map), "r"(column), "r"(token), "r"(head), "r"(batch), "r"(barrier.address)
               : "memory");
}

/// Brings a map to where the copy engine looks for it (9.7.9.16, prefetch.tensormap).
__device__ __forceinline__ void prefetchMap(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// The same way back. The thread that stores commits, and waits until all but N of its committed
/// stores have read shared memory, or are done (9.7.9.27, bulk async-groups).
__device__ __forceinline__ void storeBox(const TensorMap& map, const void* shared, int column,
                                         int token, int head, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
          &map),
      "r"(sharedAddress(shared)), "r"(column), "r"(token), "r"(head), "r"(batch)
      : "memory");
}
__device__ __forceinline__ void commitBoxes() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
template <int N> __device__ __forceinline__ void waitBoxesRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}
template <int N> __device__ __forceinline__ void waitBoxes() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
}

/// Where the 128 threads of one warpgroup meet; ID from 1 to 15, 0 being that of __syncthreads.
template <int ID> __device__ __forceinline__ void syncWarpgroup() {
  asm volatile("bar.sync %0, 128;" ::"n"(ID) : "memory");
}
__device__ __forceinline__ void syncWarpgroup(int id) {
  asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory");
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

/// Where `count` threads of several warpgroups meet.
__device__ __forceinline__ void syncThreads(int barrier, int count) {
  asm volatile("barrier.sync %0, %1;" ::"r"(barrier), "r"(count) : "memory");
}

/// As syncWarpgroup, and whether `x` holds for any of them (PTX ISA 9.7.13.1, barrier.red).
__device__ __forceinline__ bool anyOfWarpgroup(int barrier, bool x) {
  uint32 any;
  asm volatile("{\n.reg .pred p, q;\nsetp.ne.u32 p, %1, 0;\nbarrier.red.or.pred q, %2, 128, p;\n"
               "selp.u32 %0, 1, 0, q;\n}"
               : "=r"(any)
               : "r"(uint32(x)), "r"(barrier)
               : "memory");
  return any;
}

/// Registers of every thread of this warpgroup from here on (PTX ISA 9.7.20.5, setmaxnreg).
template <int COUNT> __device__ __forceinline__ void raiseRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void lowerRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}
