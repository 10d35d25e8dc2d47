// One token at a time, for any recurrence: what the step (decode) and sequential families share.
//
// A thread block holds kBlockV columns of a head's state in fp32 registers. A lane holds kColumns
// neighbouring columns, shared by kSplitK lanes (Channels). Either these are neighbours in a warp,
// so that no sum leaves it, or the lanes along the columns are (kColumnsFirst), so that a warp
// reads whole lines of the state and the parts of a column lie kAcross lanes apart, and in
// kSplitWarps warps. What does not depend on the state is computed for kBlock tokens at a time by
// whole warps, into shared memory.

/// Of a final state that the call does not ask for, instead of where it lies.
constexpr int64 kNowhere = int64(1) << 63;

template <bool LARGEST> __device__ __forceinline__ float combine(float x, float y) {
  return LARGEST ? fmaxf(x, y) : x + y;
}

/// Sums, or maxima, over the lanes that share a column, in the same order on each of them. What
/// warps exchange lies in two buffers in turns: who writes one has passed the barrier of the other.
template <class V, bool LARGEST, int N>
__device__ __forceinline__ void combineOverSplit(float (&x)[N], char* shared, int& turn) {
  constexpr int kStep = V::kColumnsFirst ? V::kAcross : 1;
  constexpr int kParts = V::kSplitK / V::kSplitWarps;
#pragma unroll
  for (int offset = kStep; offset < kStep * kParts; offset *= 2)
#pragma unroll
    for (int n = 0; n < N; ++n)
      x[n] = combine<LARGEST>(x[n], __shfl_xor_sync(~0u, x[n], offset));
  if constexpr (V::kSplitWarps > 1) {
    constexpr int kPacks = (N + 3) / 4;
    using Pack = Neighbours<float, 4>;
    const int part = threadIdx.x / V::kAcross, group = threadIdx.x % V::kAcross;
    Pack* buffer = reinterpret_cast<Pack*>(shared + V::kExchangeOffset) + group +
                   turn * (V::kSplitWarps * V::kSumPacks * V::kAcross);
    turn ^= 1;
    if (part % kParts == 0)
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        Pack pack;
#pragma unroll
        for (int n = 0; n < 4; ++n)
          pack.elements[n] = p * 4 + n < N ? x[p * 4 + n < N ? p * 4 + n : 0] : 0.0f;
        buffer[(part / kParts * kPacks + p) * V::kAcross] = pack;
      }
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < V::kSplitWarps; ++warp)
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        Pack pack = buffer[(warp * kPacks + p) * V::kAcross];
#pragma unroll
        for (int n = 0; n < 4; ++n)
          if (p * 4 + n < N)
            x[p * 4 + n] =
                warp == 0 ? pack.elements[n] : combine<LARGEST>(x[p * 4 + n], pack.elements[n]);
      }
  }
}

/// What a thread block works on, and the empty state of a lane in it.
template <class V> struct TokenBlock {
  int tile, head;
  Sequence sequence;

  __device__ __forceinline__ TokenBlock(const Args& args, int block) {
    const int row = block / V::kTiles;
    const int index = quotient(row, args.heads, args.headsReciprocal);
    tile = block % V::kTiles;
    head = row - index * args.heads;
    sequence = args.sequence(index);
  }

  __device__ __forceinline__ typename V::State state() const {
    const int thread = threadIdx.x;
    typename V::State state;
    state.turn = 0;
    state.channels.part = V::kColumnsFirst ? thread / V::kAcross : thread % V::kSplitK;
    state.local = (V::kColumnsFirst ? thread % V::kAcross : thread / V::kSplitK) * V::kColumns;
    state.column = tile * V::kBlockV + state.local;
    return state;
  }
};
