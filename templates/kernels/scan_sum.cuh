// Forward of a scan in both directions without decay (portable form): every token reads the sum
// over all. The thread block of a scan walks the sequence twice, first for the sum
// S = sum_j key_j * value_j, then for the reads query_i @ S; no token has scores of others.

template <class V> struct Sum : Scan<V> {
  using Base = Scan<V>;
  using Element = typename V::Element;
  using F = Fragments<Element>;
  using Base::args;
  using Base::floats;
  using Base::head;
  using Base::lane;
  using Base::normaliser;
  using Base::sequence;
  using Base::shared;
  using Base::state;
  using Base::thread;
  using Base::warp;

  /// Calls f(channel, number) for all of the normaliser that this thread holds and that exists.
  template <class Function> __device__ __forceinline__ void eachOfNormaliser(Function f) {
    if constexpr (V::kNormaliser)
#pragma unroll
      for (int i = 0; i < V::kNormaliserLength; ++i)
        if (int d = (i * V::kWarps + warp) * 32 + lane; d < V::kK)
          f(d, normaliser[i]);
  }

  __device__ __forceinline__ void finishSum() {
    const SumStates<V, 0> states(args, sequence, head, true);
    Base::eachStateElement([&](int d, int v, float& s) {
      if (d < V::kK && v < V::kV)
        states(d, v, s);
    });
    if constexpr (V::kNormaliser) {
      const SumStates<V, 1> sums(args, sequence, head, Base::tile == 0);
      eachOfNormaliser([&](int d, float& n) { sums(d, 0, n); });
    }
  }

  /// The state takes one chunk.
  __device__ __forceinline__ void addChunk(int chunk, int stage) {
    const Element* key = V::key(shared, stage) + chunk * V::kChunk * V::kPitchK;
    const Element* value = V::value(shared, stage) + chunk * V::kChunk * V::kPitchV + warp * 16;
#pragma unroll
    for (int step = 0; step < V::kChunk / F::kStep; ++step) {
      FragmentA a = F::columnsA(value + step * F::kStep * V::kPitchV, V::kPitchV, lane);
#pragma unroll
      for (int n = 0; n < V::kPaddedK / 16; ++n)
        mma16<Element>(state[2 * n], state[2 * n + 1], a,
                       F::columnsB(key + step * F::kStep * V::kPitchK + n * 16, V::kPitchK, lane));
    }
  }

  __device__ __forceinline__ void readChunk(int chunk, int stage, int firstToken, int rows) {
    const Element* query = V::query(shared, stage) + chunk * V::kChunk * V::kPitchK;
    float out[V::kChunk / 8][4] = {};
#pragma unroll
    for (int step = 0; step < V::kPaddedK / F::kStep; ++step) {
      FragmentA a = F::fromAccumulator(state, step);
#pragma unroll
      for (int n = 0; n < V::kChunk / 16; ++n)
        mma16<Element>(out[2 * n], out[2 * n + 1], a,
                       F::rowsB(query + n * 16 * V::kPitchK + step * F::kStep, V::kPitchK, lane));
    }
    Base::template writeOutputs<0>(out, chunk, stage, firstToken, rows);
  }

  __device__ __forceinline__ void sumKeys(const Element* key, int rows) {
    for (int token = 0; token < rows; ++token)
      eachOfNormaliser([&](int d, float& n) { n += toFloat(key[token * V::kPitchK + d]); });
  }

  /// Each warp's part of every read of the normaliser.
  __device__ __forceinline__ void readNormaliser(const Element* query, int rows) {
#pragma unroll 1
    for (int group = 0; group * 16 < rows; ++group) {
      float reads[16] = {};
#pragma unroll
      for (int t = 0; t < 16; ++t)
        eachOfNormaliser([&](int d, float& n) {
          reads[t] += toFloat(query[(group * 16 + t) * V::kPitchK + d]) * n;
        });
      float total = warpSum16(reads, lane);
      if (lane < 16)
        floats(V::kNormaliserOffset)[warp * V::kBlock + group * 16 + lane] = total;
    }
  }

  /// From loaded tiles to the sum, or to outputs.
  __device__ __forceinline__ void process(int stage, int firstToken, int rows, bool reads) {
    if constexpr (V::kRowProgram) {
#pragma unroll 1
      for (int token = warp; token < V::kBlock; token += V::kWarps)
        V::rowProgram(args, shared, stage, token, token < rows, Base::tile, sequence, head,
                      firstToken, lane);
    }
    // Behind it the tiles are mapped and the scalars of the tokens are there.
    __syncthreads();
    if (reads) {
      if constexpr (V::kNormaliser) {
        readNormaliser(V::query(shared, stage), rows);
        __syncthreads();
      }
#pragma unroll 1
      for (int chunk = 0; chunk * V::kChunk < rows; ++chunk)
        readChunk(chunk, stage, firstToken, rows);
    } else {
      sumKeys(V::key(shared, stage), rows);
#pragma unroll 1
      for (int chunk = 0; chunk * V::kChunk < rows; ++chunk)
        addChunk(chunk, stage);
    }
  }

  __device__ __forceinline__ void run() {
    const int blocks = (sequence.tokens + V::kBlock - 1) / V::kBlock;
    typename V::Copies copies(args, sequence, head, Base::tile);
    typename V::Scalars scalars[(V::kBlock + V::kThreads - 1) / V::kThreads];
    auto firstOf = [&](int round) { return (round < blocks ? round : round - blocks) * V::kBlock; };
#pragma unroll
    for (int n = 0; n < V::kPaddedK / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        state[n][e] = 0.0f;
    if (blocks == 0)
      finishSum();
    // The first kStages rounds only fill the pipeline; one round for each block and walk follows.
#pragma unroll 1
    for (int round = -V::kStages; round < 2 * blocks; ++round) {
      const int firstToken = firstOf(round);
      const int rows = min(V::kBlock, sequence.tokens - firstToken);
#pragma unroll
      for (int i = 0; i * V::kThreads < V::kBlock; ++i) {
        int token = i * V::kThreads + thread;
        if (round >= 0 && token < V::kBlock)
          V::scalarProgram(args, scalars[i], floats(V::kSlotOffset) + token, head,
                           firstToken + token, token < rows);
        int next = firstOf(round + 1) + token;
        scalars[i].load(args, sequence, head, next,
                        round + 1 >= 0 && round + 1 < 2 * blocks && next < sequence.tokens);
      }
      if (round == blocks)
        finishSum();
      if (round >= 0) {
        waitCopies<V::kStages - 1>();
        __syncthreads();
        process(round % V::kStages, firstToken, rows, round >= blocks);
        __syncthreads();
      }
      const int ahead = round + V::kStages;
      if (ahead < 2 * blocks)
        copies.issue(shared, ahead % V::kStages, firstOf(ahead), sequence.tokens - firstOf(ahead),
                     thread);
      commitCopies();
    }
  }
};
