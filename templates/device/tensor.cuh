// The operands of a launch, and tiles copied asynchronously from them to shared memory.

/// Mirrors lathe::KernelTensor (compiler/cuda/Kernel.h). Strides count elements; the last axis is
/// contiguous.
struct Tensor {
  void* data;
  int64 batch, token, head;  ///< Of a state, `token` is the stride of its first own axis.
  int headGroup;
  int inner;  ///< Of a state, the stride of its second own axis; else `quotient`'s reciprocal of
              ///< headGroup.

  template <class T> __device__ __forceinline__ T* at(int64 b, int h) const {
    return static_cast<T*>(data) + b * batch + quotient(h, headGroup, inner) * head;
  }
  /// From `data` to the first token of a sequence.
  __device__ __forceinline__ int64 offset(const Sequence& sequence, int h) const {
    const int row = sequence.packed ? int(sequence.first) : sequence.batch;
    return row * (sequence.packed ? token : batch) + quotient(h, headGroup, inner) * head +
           (sequence.mirrored ? (sequence.tokens - 1) * token : 0);
  }
  /// From one token of a sequence to the next, in the order in which they are counted.
  __device__ __forceinline__ int64 stride(const Sequence& sequence) const {
    return sequence.mirrored ? -token : token;
  }
  template <class T> __device__ __forceinline__ T* at(const Sequence& sequence, int h) const {
    return static_cast<T*>(data) + offset(sequence, h);
  }
  /// From `data` to the state of a sequence.
  __device__ __forceinline__ int64 stateOffset(const Sequence& sequence, int h) const {
    return sequence.slot * batch + h * head;
  }
  /// The state of a sequence, null where the call passes none.
  template <class T> __device__ __forceinline__ T* stateAt(const Sequence& sequence, int h) const {
    return data && sequence.slot >= 0 ? static_cast<T*>(data) + stateOffset(sequence, h) : nullptr;
  }
};

/// What the copy engine is told of a tensor of four axes (PTX ISA 5.5.9, tensor map); made by the
/// host.
struct alignas(64) TensorMap {
  uint64 opaque[16];
};

/// Copies `valid` of BYTES bytes and fills the rest with zeros.
template <int BYTES>
__device__ __forceinline__ void copyAsync(void* shared, const void* global, int valid) {
  uint32 address = sharedAddress(shared);
  if constexpr (BYTES == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
                 "r"(valid)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(global),
                 "n"(BYTES), "r"(valid)
                 : "memory");
}

__device__ __forceinline__ void commitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most N of the committed groups are in flight.
template <int N> __device__ __forceinline__ void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/// The largest power of two up to 16 that divides every row's address in bytes.
template <class T> __device__ __forceinline__ int rowAlignment(const Tensor& x) {
  uint64 bits = uint64(x.data) | uint64(x.batch * sizeof(T)) | uint64(x.token * sizeof(T)) |
                uint64(x.head * sizeof(T)) | 16;
  return int(bits & -bits);
}

/// ROWS rows of COLUMNS elements at `source`, of which `rows` rows and `columns` columns exist; the
/// others become zeros.
template <class T, int ROWS, int COLUMNS, int PITCH, int THREADS, int BYTES>
__device__ __forceinline__ void copyTileBy(T* tile, const T* source, int64 stride, int rows,
                                           int columns, int thread) {
  constexpr int kVector = BYTES / sizeof(T);
  constexpr int kPerRow = COLUMNS / kVector;
#pragma unroll(BYTES == 16 ? 4 : 1)
  for (int i = thread; i < ROWS * kPerRow; i += THREADS) {
    int row = i / kPerRow, column = i % kPerRow * kVector;
    int left = row < rows ? (columns - column) * int(sizeof(T)) : 0;
    int valid = left < 0 ? 0 : left < BYTES ? left : BYTES;
    copyAsync<BYTES>(tile + row * PITCH + column, valid ? source + row * stride + column : source,
                     valid);
  }
}

/// `alignment` is rowAlignment of the tensor that `source` points into, at a column that is a
/// multiple of 16.
template <class T, int ROWS, int COLUMNS, int PITCH, int THREADS>
__device__ __forceinline__ void copyTile(T* tile, const T* source, int64 stride, int rows,
                                         int columns, int alignment, int thread) {
  if (alignment == 16) {
    copyTileBy<T, ROWS, COLUMNS, PITCH, THREADS, 16>(tile, source, stride, rows, columns, thread);
  } else if (alignment >= 4) {
    copyTileBy<T, ROWS, COLUMNS, PITCH, THREADS, 4>(tile, source, stride, rows, columns, thread);
  } else {
#pragma unroll 1
    for (int i = thread; i < ROWS * COLUMNS; i += THREADS) {
      int row = i / COLUMNS, column = i % COLUMNS;
      bool valid = row < rows && column < columns;
      tile[row * PITCH + column] = valid ? source[row * stride + column] : fromFloat<T>(0.0f);
    }
  }
}
