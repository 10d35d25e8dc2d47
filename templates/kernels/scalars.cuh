// What is made of scalars of the token alone, from the last token of a sequence to the first: sums
// over all later tokens, which what is written may take, and totals.
//
// What the sum over all tokens must come to is known, and what it misses that by, which is what
// those who made its terms have rounded, is taken off in equal parts for every token.
//
// A block has one head. Its threads take TOKENS neighbouring tokens each, of THREADS * TOKENS at
// once, and add up in an order that depends on the length alone.

template <class V, int THREADS, int TOKENS> struct ScalarSums {
  static constexpr int kWarps = THREADS / 32, kTotals = V::kTotals > 0 ? V::kTotals : 1;

  const Args& args;
  float* const shared;  ///< kWarps numbers twice, or kWarps for each total.
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int head = blockIdx.x % args.heads;
  const Sequence sequence = args.sequence(blockIdx.x / args.heads);

  /// What the threads behind this one have, and what all have together.
  __device__ __forceinline__ float2 later(float own, int round) const {
    float sum = own;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const float other = __shfl_down_sync(~0u, sum, offset);
      sum += lane + offset < 32 ? other : 0.0f;
    }
    float* const sums = shared + round % 2 * kWarps;
    if (lane == 0)
      sums[warp] = sum;
    const float behind = __shfl_down_sync(~0u, sum, 1);
    __syncthreads();
    float after = 0.0f, all = 0.0f;
#pragma unroll
    for (int i = kWarps - 1; i >= 0; --i) {
      all += sums[i];
      after += i > warp ? sums[i] : 0.0f;
    }
    return make_float2((lane < 31 ? behind : 0.0f) + after, all);
  }

  /// What a sum over all tokens has too much, for each of them.
  __device__ __forceinline__ float excessOf(const typename V::Params& params, float start) const {
    float sum = 0.0f;
#pragma unroll 4
    for (int token = threadIdx.x; token < sequence.tokens; token += THREADS) {
      typename V::Inputs inputs;
      inputs.load(args, sequence, head, token, true);
      sum += V::own(args, inputs, params, token);
    }
    const float all = later(sum, 0).y;
    __syncthreads();
    return (start + all - V::end(args, sequence, head)) / float(max(sequence.tokens, 1));
  }

  __device__ __forceinline__ void writeTotals(float (&totals)[kTotals]) const {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < V::kTotals; ++i) {
      float sum = totals[i];
#pragma unroll
      for (int offset = 16; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(~0u, sum, offset);
      if (lane == 0)
        shared[i * kWarps + warp] = sum;
    }
    __syncthreads();
    if (threadIdx.x >= V::kTotals)
      return;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarps; ++i)
      sum += shared[threadIdx.x * kWarps + i];
    V::writeTotal(args, threadIdx.x, sequence, head, sum);
  }

  __device__ __forceinline__ void run() const {
    constexpr int kTile = THREADS * TOKENS;
    typename V::Params params;
    params.load(args, head);
    float carry = V::start(args, sequence, head), totals[kTotals] = {};
    float excess = 0.0f;
    if constexpr (V::kCumulative)
      excess = excessOf(params, carry);
    typename V::Inputs next[TOKENS];
    const int tiles = (sequence.tokens + kTile - 1) / kTile;
    auto tokenOf = [&](int tile, int i) { return tile * kTile + int(threadIdx.x) * TOKENS + i; };
    auto load = [&](int tile) {
#pragma unroll
      for (int i = 0; i < TOKENS; ++i)
        next[i].load(args, sequence, head, tokenOf(tile, i),
                     tile >= 0 && tokenOf(tile, i) < sequence.tokens);
    };
    load(tiles - 1);
#pragma unroll 1
    for (int tile = tiles - 1; tile >= 0; --tile) {
      typename V::Inputs inputs[TOKENS];
      float sums[TOKENS], sum = 0.0f;
#pragma unroll
      for (int i = TOKENS - 1; i >= 0; --i) {
        inputs[i] = next[i];
        const int token = tokenOf(tile, i);
        if constexpr (V::kCumulative)
          sum += token < sequence.tokens ? V::own(args, inputs[i], params, token) : 0.0f;
        sums[i] = sum;
      }
      load(tile - 1);
      float2 others = make_float2(0.0f, 0.0f);
      if constexpr (V::kCumulative)
        others = later(sum, tile);
#pragma unroll
      for (int i = TOKENS - 1; i >= 0; --i) {
        const int token = tokenOf(tile, i);
        if (token < sequence.tokens)
          V::finish(args, inputs[i], params, sequence, head, token,
                    carry + others.x + sums[i] - excess * float(sequence.tokens - token),
                    [&](int index, float x) { totals[index] += x; });
      }
      carry += others.y;
    }
    writeTotals(totals);
  }
};
