// The sequences of a launch: all of one length, or packed behind each other on the token axis.

/// a / b, where `reciprocal` is (2^32 - 1) / b rounded down: at most one too small before it is
/// corrected, as a is below 2^31.
__device__ __forceinline__ int quotient(int a, int b, int reciprocal) {
  int q = __umulhi(a, reciprocal);
  return a - q * b >= b ? q + 1 : q;
}

/// One sequence: where its tokens and its states are.
struct Sequence {
  int batch;    ///< On the batch axis of inputs and outputs.
  int64 first;  ///< On their token axis.
  int tokens;
  int64 slot;   ///< On the batch axis of the states; negative: it has none.
  bool packed;  ///< Whether it is found by its first token, rather than on the batch axis.
  bool mirrored = false;  ///< Whether its tokens are counted from the last to the first.
};

/// Mirrors lathe::KernelSizes (compiler/cuda/Kernel.h).
struct Sizes {
  int batch, tokens, heads, headsReciprocal, segments, wide;
  const void *sequences, *slots;
  void* workspace;

  __device__ __forceinline__ int64 element(const void* list, bool wideList, int i) const {
    return wideList ? static_cast<const int64*>(list)[i] : static_cast<const int*>(list)[i];
  }

  __device__ __forceinline__ Sequence sequence(int index, bool mirrored = false) const {
    Sequence s{index, 0, tokens, index, sequences != nullptr, mirrored};
    if (sequences) {
      s.batch = 0;
      s.first = element(sequences, wide & 1, index);
      s.tokens = int(element(sequences, wide & 1, index + 1) - s.first);
    }
    if (slots)
      s.slot = element(slots, wide & 2, index);
    return s;
  }
};

/// A state in memory: element [key d, value v], whichever of the two is contiguous.
template <class T> struct StateView {
  T* data;  ///< Null where the call passes none.
  int64 key, value;

  __device__ __forceinline__ explicit operator bool() const { return data; }
  __device__ __forceinline__ T& operator()(int d, int v) const { return data[d * key + v * value]; }
};
