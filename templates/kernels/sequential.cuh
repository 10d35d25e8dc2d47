// The sequential family: a whole sequence, blocks of kBlock tokens. The scalars of a block's tokens
// are computed side by side, then their vectors, one warp a token.

template <class V> __device__ __forceinline__ void runSequential(const Args& args, char* shared) {
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  const TokenBlock<V> block(args, int(blockIdx.x));
  const Sequence& sequence = block.sequence;
  const int head = block.head;
  float* slots = reinterpret_cast<float*>(shared + V::kSlotOffset);
  typename V::State state = block.state();
  state.load(args, sequence, head);
  state.aim(args, shared, sequence, head);
  __syncthreads();
#pragma unroll 1
  for (int firstToken = 0; firstToken < sequence.tokens; firstToken += V::kBlock) {
    int rows = min(V::kBlock, sequence.tokens - firstToken);
    for (int token = thread; token < rows; token += V::kThreads) {
      typename V::Scalars scalars;
      scalars.load(args, sequence, head, firstToken + token, true);
      V::scalarProgram(args, scalars, slots + token, head, firstToken + token, true);
    }
    __syncthreads();
#pragma unroll 1
    for (int token = warp; token < rows; token += V::kWarps)
      V::rowProgram(args, shared, 0, token, true, block.tile, sequence, head, firstToken, lane);
    __syncthreads();
#pragma unroll 1
    for (int token = 0; token < rows; ++token)
      state.advance(args, shared, token, firstToken + token);
    __syncthreads();
  }
  state.store(args, shared);
}
