// Tensor core fragments for tiles in shared memory: mma.sync m16n8k16 (16-bit) and m16n8k8 (tf32),
// PTX ISA 9.7.14.
//
// A fragment is 16 rows by kStep columns, a B fragment kStep rows by 16 columns (two mma wide). In
// the tf32 form the order of the contraction index is permuted (slot t holds index 2t, slot t + 4
// holds 2t + 1), the same in A and B, which makes an accumulator a valid A operand and lets B be
// read in pairs.

struct FragmentA {
  uint32 r[4];
};
struct FragmentB {
  uint32 r[4];
};

__device__ __forceinline__ uint32 sharedAddress(const void* pointer) {
  return uint32(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void loadMatrix4(uint32 (&r)[4], uint32 row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void loadMatrix4(uint32 (&r)[4], const void* row) {
  loadMatrix4(r, sharedAddress(row));
}

__device__ __forceinline__ void loadMatrix4Transposed(uint32 (&r)[4], uint32 row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void loadMatrix4Transposed(uint32 (&r)[4], const void* row) {
  loadMatrix4Transposed(r, sharedAddress(row));
}

/// Transposes an 8 x 8 matrix of 16-bit elements held by the warp.
__device__ __forceinline__ uint32 transposeMatrix(uint32 x) {
  uint32 result;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(x));
  return result;
}

__device__ __forceinline__ void mma(bf16, float (&c)[4], const FragmentA& a, uint32 b0, uint32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma(f16, float (&c)[4], const FragmentA& a, uint32 b0, uint32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma(float, float (&c)[4], const FragmentA& a, uint32 b0,
                                    uint32 b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b0), "r"(b1));
}

/// Both halves of a 16-column product.
template <class T>
__device__ __forceinline__ void mma16(float (&c0)[4], float (&c1)[4], const FragmentA& a,
                                      const FragmentB& b) {
  mma(T{}, c0, a, b.r[0], b.r[1]);
  mma(T{}, c1, a, b.r[2], b.r[3]);
}

__device__ __forceinline__ uint32 toTf32(float x) {
  uint32 result;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
  return result;
}

/// How fragments of one element type are filled. `tile` points at the fragment's first element,
/// `pitch` counts elements.
template <class T> struct Fragments {
  static constexpr int kStep = 16;

  /// A[m][k] = tile[m][k]
  static __device__ __forceinline__ FragmentA rowsA(const T* tile, int pitch, int lane) {
    FragmentA a;
    loadMatrix4(a.r, tile + (lane % 16) * pitch + (lane / 16) * 8);
    return a;
  }
  /// A[m][k] = tile[k][m]
  static __device__ __forceinline__ FragmentA columnsA(const T* tile, int pitch, int lane) {
    FragmentA a;
    loadMatrix4Transposed(a.r, tile + (lane % 8 + lane / 16 * 8) * pitch + (lane / 8 % 2) * 8);
    return a;
  }
  /// B[k][n] = tile[n][k]
  static __device__ __forceinline__ FragmentB rowsB(const T* tile, int pitch, int lane) {
    FragmentB b;
    loadMatrix4(b.r, tile + (lane % 8 + lane / 16 * 8) * pitch + (lane / 8 % 2) * 8);
    return b;
  }
  /// B[k][n] = tile[k][n]
  static __device__ __forceinline__ FragmentB columnsB(const T* tile, int pitch, int lane) {
    FragmentB b;
    loadMatrix4Transposed(b.r, tile + (lane % 16) * pitch + (lane / 16) * 8);
    return b;
  }
  /// The columns [kStep * step, ...) of an accumulator as an A operand.
  template <int N>
  static __device__ __forceinline__ FragmentA fromAccumulator(const float (&c)[N][4], int step) {
    const float(&x)[4] = c[2 * step];
    const float(&y)[4] = c[2 * step + 1];
    return {{pack<T>(x[0], x[1]), pack<T>(x[2], x[3]), pack<T>(y[0], y[1]), pack<T>(y[2], y[3])}};
  }
  /// Column k of A times factor[k], and all of it times `common`.
  static __device__ __forceinline__ void scaleColumns(FragmentA& a, const float* factor, int lane,
                                                      float common = 1.0f) {
    factor += lane % 4 * 2;
    const float low = factor[0] * common, next = factor[1] * common;
    const float high = factor[8] * common, last = factor[9] * common;
    a.r[0] = scalePacked<T>(a.r[0], low, next);
    a.r[1] = scalePacked<T>(a.r[1], low, next);
    a.r[2] = scalePacked<T>(a.r[2], high, last);
    a.r[3] = scalePacked<T>(a.r[3], high, last);
  }
};

template <> struct Fragments<float> {
  static constexpr int kStep = 8;

  static __device__ __forceinline__ FragmentA rowsA(const float* tile, int pitch, int lane) {
    const float* x = tile + lane / 4 * pitch + lane % 4 * 2;
    const float* y = x + 8 * pitch;
    return {{toTf32(x[0]), toTf32(y[0]), toTf32(x[1]), toTf32(y[1])}};
  }
  static __device__ __forceinline__ FragmentA columnsA(const float* tile, int pitch, int lane) {
    const float* x = tile + lane % 4 * 2 * pitch + lane / 4;
    const float* y = x + pitch;
    return {{toTf32(x[0]), toTf32(x[8]), toTf32(y[0]), toTf32(y[8])}};
  }
  static __device__ __forceinline__ FragmentB rowsB(const float* tile, int pitch, int lane) {
    const float* x = tile + lane / 4 * pitch + lane % 4 * 2;
    const float* y = x + 8 * pitch;
    return {{toTf32(x[0]), toTf32(x[1]), toTf32(y[0]), toTf32(y[1])}};
  }
  static __device__ __forceinline__ FragmentB columnsB(const float* tile, int pitch, int lane) {
    const float* x = tile + lane % 4 * 2 * pitch + lane / 4;
    const float* y = x + pitch;
    return {{toTf32(x[0]), toTf32(y[0]), toTf32(x[8]), toTf32(y[8])}};
  }
  template <int N>
  static __device__ __forceinline__ FragmentA fromAccumulator(const float (&c)[N][4], int step) {
    const float(&x)[4] = c[step];
    return {{toTf32(x[0]), toTf32(x[2]), toTf32(x[1]), toTf32(x[3])}};
  }
  static __device__ __forceinline__ void scaleColumns(FragmentA& a, const float* factor, int lane) {
    float even = factor[lane % 4 * 2], odd = factor[lane % 4 * 2 + 1];
    a.r[0] = toTf32(__uint_as_float(a.r[0]) * even);
    a.r[1] = toTf32(__uint_as_float(a.r[1]) * even);
    a.r[2] = toTf32(__uint_as_float(a.r[2]) * odd);
    a.r[3] = toTf32(__uint_as_float(a.r[3]) * odd);
  }
};
