// Products of a warpgroup on tiles in shared memory: wgmma m64n64k16 (PTX ISA 9.7.15, sm_90a).
//
// A tile is made of panels of 64 columns of 16-bit elements: rows of 128 bytes, the 16-byte pieces
// of row r permuted by exclusive or with r % 8 (the 128-byte swizzle), so that neither rows nor
// columns of eight pieces meet in a bank.

constexpr int kPanelColumns = 64, kPanelRow = 128, kPanelGroup = 8 * kPanelRow;

/// The byte at which piece `piece` (eight columns) of a row of a panel lies.
__device__ __forceinline__ int panelOffset(int row, int piece) {
  return row * kPanelRow + ((piece ^ (row & 7)) << 4);
}

/// What wgmma is told of a panel (9.7.15.5.1, matrix descriptor): where it starts, that groups of
/// eight rows follow each other, and its swizzle. `bytes` behind `address` it may start at a later
/// piece of row 0, or at a later group; as a constant they cost one addition.
__device__ __forceinline__ uint64 panelDescriptor(uint32 address, uint32 bytes = 0) {
  constexpr uint64 kSwizzle128 = uint64(1) << 62;
  const uint32 start = ((address & 0x3FFFF) >> 4 | 1 << 16) + (bytes >> 4);
  return uint64(kPanelGroup >> 4) << 32 | kSwizzle128 | start;
}

__device__ __forceinline__ void wgmmaFence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most N of the committed groups are in flight.
template <int N> __device__ __forceinline__ void wgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

/// How the columns of B lie: along the contraction (B[k][n] = tile[n][k]) or across it
/// (B[k][n] = tile[k][n]).
enum class Along { contraction, columns };

// The 64 x 64 accumulator of a warpgroup, 32 registers a thread: element e of c[n] is at row
// 16 * warp + lane / 4 + e / 2 * 8 and column n * 8 + lane % 4 * 2 + e % 2.
#define LATHE_ACCUMULATOR                                                                          \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, "         \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define LATHE_ACCUMULATOR_OPERANDS                                                                 \
  "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]),        \
      "+f"(c[1][2]), "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]),    \
      "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]),    \
      "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),    \
      "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]),    \
      "+f"(c[7][2]), "+f"(c[7][3])

#define LATHE_WGMMA(T, NAME)                                                                       \
  /** c = A B, or c += A B if `accumulate`: A[m][k] = tile[m][k]. */                               \
  __device__ __forceinline__ void wgmma(T, float(&c)[8][4], uint64 a, uint64 b, int accumulate) {  \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"                                      \
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME " " LATHE_ACCUMULATOR \
                 ", %32, %33, p, 1, 1, 0, 0;\n}"                                                   \
                 : LATHE_ACCUMULATOR_OPERANDS                                                      \
                 : "l"(a), "l"(b), "r"(accumulate));                                               \
  }                                                                                                \
  /** c += A B with A[m][k] = tile[k][m]. */                                                       \
  template <Along ALONG>                                                                           \
  __device__ __forceinline__ void wgmmaTransposed(T, float(&c)[8][4], uint64 a, uint64 b) {        \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME " " LATHE_ACCUMULATOR \
                 ", %32, %33, 1, 1, 1, 1, %34;"                                                    \
                 : LATHE_ACCUMULATOR_OPERANDS                                                      \
                 : "l"(a), "l"(b), "n"(ALONG == Along::columns));                                  \
  }                                                                                                \
  /** c = A B, or c += A B if `accumulate`, with A in registers. */                                \
  template <Along ALONG>                                                                           \
  __device__ __forceinline__ void wgmma(T, float(&c)[8][4], const FragmentA& a, uint64 b,          \
                                        int accumulate) {                                          \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %38, 0;\n"                                      \
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME " " LATHE_ACCUMULATOR \
                 ", {%32, %33, %34, %35}, %36, p, 1, 1, %37;\n}"                                   \
                 : LATHE_ACCUMULATOR_OPERANDS                                                      \
                 : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "l"(b),                     \
                   "n"(ALONG == Along::columns), "r"(accumulate));                                 \
  }

LATHE_WGMMA(bf16, "bf16")
LATHE_WGMMA(f16, "f16")
#undef LATHE_WGMMA
#undef LATHE_ACCUMULATOR
#undef LATHE_ACCUMULATOR_OPERANDS

/// Four 8 x 8 matrices to shared memory, transposed; lane i gives the address of row i % 8 of
/// matrix i / 8 (PTX ISA 9.7.14.5.16, stmatrix).
__device__ __forceinline__ void storeMatrix4Transposed(uint32 row, uint32 a, uint32 b, uint32 c,
                                                       uint32 d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}
__device__ __forceinline__ void storeMatrix4Transposed(void* row, uint32 a, uint32 b, uint32 c,
                                                       uint32 d) {
  storeMatrix4Transposed(sharedAddress(row), a, b, c, d);
}
__device__ __forceinline__ void storeMatrix4(uint32 row, uint32 a, uint32 b, uint32 c, uint32 d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}
__device__ __forceinline__ void storeMatrix4(void* row, uint32 a, uint32 b, uint32 c, uint32 d) {
  storeMatrix4(sharedAddress(row), a, b, c, d);
}
