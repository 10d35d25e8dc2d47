// One token at a time, for any recurrence: the step (decode) and sequential families.
//
// A thread block holds kBlockV columns of a head's state in fp32 registers. A lane holds kColumns
// neighbouring columns, shared by kSplitK lanes: its part p has the key channels i * kSplitK + p.
// Either the parts of a column are neighbours in a warp, so that no sum leaves it, or the columns
// are (kColumnsFirst), so that a warp reads whole lines of the state and its parts lie kAcross
// lanes apart, and in kSplitWarps warps. What does not depend on the state is computed for kBlock
// tokens at a time by whole warps, into shared memory.

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
    constexpr int kPitch = V::kAcross * N;
    const int part = threadIdx.x / V::kAcross, group = threadIdx.x % V::kAcross;
    float* buffer = reinterpret_cast<float*>(shared + V::kExchangeOffset) +
                    turn * (V::kSplitWarps * V::kBlockV) + group * N;
    turn ^= 1;
    if (part % kParts == 0)
#pragma unroll
      for (int n = 0; n < N; ++n)
        buffer[part / kParts * kPitch + n] = x[n];
    __syncthreads();
#pragma unroll
    for (int n = 0; n < N; ++n)
      x[n] = buffer[n];
#pragma unroll
    for (int other = 1; other < V::kSplitWarps; ++other)
#pragma unroll
      for (int n = 0; n < N; ++n)
        x[n] = combine<LARGEST>(x[n], buffer[other * kPitch + n]);
  }
}

template <class V> __device__ __forceinline__ void runTokens(const Args& args, char* shared) {
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  const int tile = blockIdx.x % V::kTiles;
  const int head = blockIdx.x / V::kTiles % args.heads;
  const Sequence sequence = args.sequence(blockIdx.x / V::kTiles / args.heads);
  float* slots = reinterpret_cast<float*>(shared + V::kSlotOffset);
  typename V::State state;
  state.turn = 0;
  state.part = V::kColumnsFirst ? thread / V::kAcross : thread % V::kSplitK;
  state.local = (V::kColumnsFirst ? thread % V::kAcross : thread / V::kSplitK) * V::kColumns;
  state.column = tile * V::kBlockV + state.local;
  state.load(args, sequence, head);
#pragma unroll 1
  for (int firstToken = 0; firstToken < sequence.tokens; firstToken += V::kBlock) {
    int rows = min(V::kBlock, sequence.tokens - firstToken);
    if (firstToken > 0)
      __syncthreads();
    if constexpr (V::kFewTokens) {
      // One wait for scalars and vectors alike.
#pragma unroll 1
      for (int token = warp; token < rows; token += V::kWarps) {
        typename V::Scalars scalars;
        typename V::Rows vectors;
        scalars.load(args, sequence, head, firstToken + token, true);
        vectors.load(args, shared, 0, token, true, tile, sequence, head, firstToken, lane);
        if (lane == 0)
          V::scalarProgram(args, scalars, slots + token, head, firstToken + token, true);
        __syncwarp();
        V::mapRows(vectors, args, shared, 0, token, true, tile, sequence, head, firstToken, lane);
      }
    } else {
      // The scalars of all tokens side by side.
      for (int token = thread; token < rows; token += V::kThreads) {
        typename V::Scalars scalars;
        scalars.load(args, sequence, head, firstToken + token, true);
        V::scalarProgram(args, scalars, slots + token, head, firstToken + token, true);
      }
      __syncthreads();
#pragma unroll 1
      for (int token = warp; token < rows; token += V::kWarps)
        V::rowProgram(args, shared, 0, token, true, tile, sequence, head, firstToken, lane);
    }
    __syncthreads();
#pragma unroll 1
    for (int token = 0; token < rows; ++token)
      state.advance(args, shared, token, sequence, head, firstToken);
  }
  state.store(args, sequence, head);
}
