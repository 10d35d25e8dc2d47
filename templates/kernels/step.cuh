// The step family: a few tokens, the state read and written once. A step waits for memory, so all
// that it reads is asked for before anything is used: the inputs first, as more has to be done with
// them, then the state. What follows from the inputs alone is cut into tasks, each a warp's.

template <class V> struct Step {
  const Args& args;
  char* shared;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  /// One of the tasks of the tokens from `firstToken` on.
  __device__ __forceinline__ void load(typename V::Task& task, const TokenBlock<V>& block,
                                       int index, int firstToken) const {
    task.load(args, index % V::kTasks, index / V::kTasks, block.tile, block.sequence, block.head,
              firstToken, lane);
  }
  __device__ __forceinline__ void map(typename V::Task& task, int tile, int index,
                                      int firstToken) const {
    task.map(args, shared, index % V::kTasks, index / V::kTasks, tile, firstToken, lane);
  }

  __device__ __forceinline__ void run() const {
    const TokenBlock<V> block(args, int(blockIdx.x));
    const Sequence& sequence = block.sequence;
    typename V::State state = block.state();
    int tasks = min(V::kBlock, sequence.tokens) * V::kTasks, next = warp + V::kWarps;
    typename V::Task first;
    if (warp < tasks)
      load(first, block, warp, 0);
    // A row that only fills the batch up has no state: its outputs are 0.
    const bool used = sequence.slot >= 0;
    if (likely(used))
      state.load(args, sequence, block.head);
    if (warp == V::kWarps - 1)
      state.aim(args, shared, sequence, block.head);
    if (!likely(used)) {
      __syncthreads();
#pragma unroll 1
      for (int token = 0; token < sequence.tokens; ++token)
        state.skip(args, shared, token);
      return;
    }
    if (warp < tasks)
      map(first, block.tile, warp, 0);
#pragma unroll 1
    for (int token = 0; token < sequence.tokens; ++token) {
      if (token % V::kBlock == 0) {
        if (token > 0) {
          __syncthreads();
          tasks = min(V::kBlock, sequence.tokens - token) * V::kTasks;
          next = warp;
        }
#pragma unroll 1
        for (; next < tasks; next += V::kWarps) {
          // Found out again: few calls come here, and all would keep it in registers.
          const TokenBlock<V> again(args, opaque(int(blockIdx.x)));
          typename V::Task task;
          load(task, again, next, token);
          map(task, again.tile, next, token);
        }
        __syncthreads();
      }
      state.advance(args, shared, token % V::kBlock, token);
    }
    if (sequence.tokens == 0)
      __syncthreads();
    state.store(args, shared);
  }
};
