// One token at a time, for any recurrence: the step (decode) and sequential families.
//
// A thread block holds kBlockV columns of a head's state in fp32 registers. A lane holds kColumns
// neighbouring columns, shared by kSplitK lanes of its warp: lane l has the columns from
// l % (32 / kSplitK) * kColumns of its warp's and the key channels i * kSplitK + l / (32 /
// kSplitK). What does not depend on the state is computed for kBlock tokens at a time by whole
// warps, into shared memory.

/// Sums over the lanes that share a column.
template <class V> __device__ __forceinline__ float sumOverSplit(float x) {
#pragma unroll
  for (int offset = 32 / V::kSplitK; offset < 32; offset *= 2)
    x += __shfl_xor_sync(~0u, x, offset);
  return x;
}

template <class V> __device__ __forceinline__ float maxOverSplit(float x) {
#pragma unroll
  for (int offset = 32 / V::kSplitK; offset < 32; offset *= 2)
    x = fmaxf(x, __shfl_xor_sync(~0u, x, offset));
  return x;
}

template <class V> __device__ __forceinline__ void runTokens(const Args& args, char* shared) {
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  const int tile = blockIdx.x % V::kTiles;
  const int head = blockIdx.x / V::kTiles % args.heads;
  const int batch = blockIdx.x / V::kTiles / args.heads;
  float* slots = reinterpret_cast<float*>(shared + V::kSlotOffset);
  typename V::State state;
  state.local = (warp * (32 / V::kSplitK) + lane % (32 / V::kSplitK)) * V::kColumns;
  state.column = tile * V::kBlockV + state.local;
  state.part = lane / (32 / V::kSplitK);
  state.load(args, batch, head);
#pragma unroll 1
  for (int firstToken = 0; firstToken < args.tokens; firstToken += V::kBlock) {
    int rows = min(V::kBlock, args.tokens - firstToken);
    for (int token = thread; token < rows; token += V::kThreads) {
      typename V::Scalars scalars;
      scalars.load(args, batch, head, firstToken + token, true);
      V::scalarProgram(args, scalars, slots + token, head, firstToken + token, true);
    }
    __syncthreads();
#pragma unroll 1
    for (int token = warp; token < rows; token += V::kWarps)
      V::rowProgram(args, shared, 0, token, true, tile, batch, head, firstToken, lane);
    __syncthreads();
#pragma unroll 1
    for (int token = 0; token < rows; ++token)
      state.advance(args, shared, token, batch, head, firstToken);
    __syncthreads();
  }
  state.store(args, batch, head);
}
