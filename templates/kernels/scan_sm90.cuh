// Forward of a scan with one decay a token or none, for sm_90a: the portable form's algebra
// (scan.cuh) by warpgroups that work at the same time, in chunks of 64 tokens.
//
// Warpgroup 0 brings: three of its warps copy queries, keys and values into a ring of kStages
// stages, the fourth computes the token's scalars. Warpgroup 1 computes the scores of a chunk, one
// chunk ahead of the others. Each later one holds 64 columns of V of the state, transposed, in the
// accumulators of wgmma: O^T = S^T Q^T e^G + V^T P^T, S^T <- e^{G_C} S^T + V^T (e^{G_C - G} K). The
// factors of a token are on the side of V, which is in registers. Copies are cp.async, so that any
// strides and tails are right, and a value waits for nothing but its own row.

/// What the scalars of a token become: G in log2 units, e^G, f e^{G_C - G} and f, where f is the
/// factor of the token's key and value, and e^{G_C} of the chunk.
template <int CHUNK> struct alignas(16) Factors {
  float cumulative[CHUNK], entry[CHUNK], exit[CHUNK], own[CHUNK], total;
};

template <class V> struct HopperScan {
  using Element = typename V::Element;
  using F = Fragments<Element>;
  static constexpr int kPanel = V::kChunk * kPanelRow;  ///< Bytes.
  static constexpr int kKeyPanels = (V::kK + kPanelColumns - 1) / kPanelColumns;
  static constexpr int kKeyTile = kKeyPanels * kPanel;
  static constexpr int kGroups = V::kBlockV / kPanelColumns;  ///< Warpgroups that hold the state.
  static constexpr int kScoreBuffers = 2, kScoreBarrier = 1;
  static constexpr int kLoaders = 3;  ///< Warps that copy.

  const Args& args;
  char* const shared;  ///< A multiple of 1024, the period of the swizzle.
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  const int tile = blockIdx.x % V::kTiles;
  const int head = blockIdx.x / V::kTiles % args.heads;
  const Sequence sequence = args.sequence(blockIdx.x / V::kTiles / args.heads);
  const int chunks = (sequence.tokens + V::kChunk - 1) / V::kChunk;

  __device__ __forceinline__ char* query(int stage) const {
    return shared + stage * V::kStageBytes;
  }
  __device__ __forceinline__ char* key(int stage) const { return query(stage) + kKeyTile; }
  __device__ __forceinline__ char* value(int stage) const { return query(stage) + 2 * kKeyTile; }
  __device__ __forceinline__ char* scores(int buffer) const {
    return shared + V::kScoreOffset + buffer * kPanel;
  }
  __device__ __forceinline__ Factors<V::kChunk>& factors(int stage) const {
    return reinterpret_cast<Factors<V::kChunk>*>(shared + V::kFactorOffset)[stage];
  }
  __device__ __forceinline__ float* slots(int stage) const {
    return reinterpret_cast<float*>(shared + V::kSlotOffset) + stage * V::kSlots * V::kChunk;
  }
  /// The barriers: a stage is full, is empty; scores are there, are used up.
  __device__ __forceinline__ Barrier barrier(int index) const {
    return Barrier(shared + V::kBarrierOffset + index * 8);
  }
  __device__ __forceinline__ Barrier full(int stage) const { return barrier(stage); }
  __device__ __forceinline__ Barrier empty(int stage) const { return barrier(V::kStages + stage); }
  __device__ __forceinline__ Barrier scored(int buffer) const {
    return barrier(2 * V::kStages + buffer);
  }
  __device__ __forceinline__ Barrier consumed(int buffer) const {
    return barrier(2 * V::kStages + kScoreBuffers + buffer);
  }
  /// Once for each warp.
  __device__ __forceinline__ void arriveWarp(Barrier barrier) const {
    __syncwarp();
    if (lane == 0)
      barrier.arrive();
  }

  /// One warp copies one operand, chunk by chunk. Of COLUMNS columns `exists` are there.
  template <int COLUMNS>
  __device__ __forceinline__ void copyOperand(const Tensor& tensor, int column, int offset,
                                              int exists = COLUMNS) {
    PanelCopy<Element, V::kChunk, COLUMNS> copy(tensor, sequence, head, column, lane, exists);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages;
      empty(stage).wait(~(chunk / V::kStages) & 1);
      copy.issue(shared + stage * V::kStageBytes + offset, int64(chunk) * V::kChunk,
                 sequence.tokens - chunk * V::kChunk, full(stage));
    }
  }

  /// One warp computes the scalars of two tokens a lane, loaded a chunk ahead.
  __device__ __forceinline__ void computeFactors() {
    typename V::Scalars scalars[2];
    auto load = [&](int chunk) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        int token = chunk * V::kChunk + lane * 2 + i;
        scalars[i].load(args, sequence, head, token, token < sequence.tokens);
      }
    };
    load(0);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages;
      empty(stage).wait(~(chunk / V::kStages) & 1);
      float gate[2], own[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        int position = chunk * V::kChunk + lane * 2 + i;
        float* slot = slots(stage) + lane * 2 + i;
        V::scalarProgram(args, scalars[i], slot, head, position, position < sequence.tokens);
        gate[i] = V::kDecay == Decay::scalar && position < sequence.tokens
                      ? V::logDecay(args, slot) * kLog2E
                      : 0.0f;
        own[i] = V::keyFactor(args, slot);
      }
      float sum = gate[0] + gate[1];
#pragma unroll
      for (int offset = 1; offset < 32; offset *= 2) {
        float before = __shfl_up_sync(~0u, sum, offset);
        sum += lane >= offset ? before : 0.0f;
      }
      float total = __shfl_sync(~0u, sum, 31), first = sum - gate[1];
      Factors<V::kChunk>& out = factors(stage);
      auto put = [&](float(&row)[V::kChunk], float a, float b) {
        *reinterpret_cast<float2*>(row + lane * 2) = make_float2(a, b);
      };
      put(out.cumulative, first, sum);
      put(out.entry, exp2(first), exp2(sum));
      put(out.exit, own[0] * exp2(total - first), own[1] * exp2(total - sum));
      put(out.own, own[0], own[1]);
      if (lane == 0)
        out.total = exp2(total);
      arriveWarp(full(stage));
      // Behind the arrival, which would otherwise wait for what is loaded here.
      if (chunk + 1 < chunks)
        load(chunk + 1);
    }
  }

  /// Queries, keys and values of a chunk become what the spec makes of them, in their places.
  __device__ __forceinline__ void mapRows(int chunk, int stage) {
    constexpr int kRowsAtOnce = 32 / V::kRowLanes;
    int firstToken = chunk * V::kChunk;
#pragma unroll 2
    for (int first = warp * kRowsAtOnce; first < V::kChunk; first += 4 * kRowsAtOnce) {
      int token = first + lane / V::kRowLanes;
      V::rowProgram(args, shared, stage, token, firstToken + token < sequence.tokens, tile,
                    sequence, head, firstToken, lane);
    }
  }

  /// P[i][j] = (query_i . key_j) e^{G_i - G_j} f_j for j <= i, rounded, of every chunk.
  __device__ __forceinline__ void computeScores() {
    int row = warp * 16 + lane / 4, column = lane % 4 * 2;
    HopperNormaliser<V> normaliser(shared);
    if constexpr (V::kNormaliser)
      normaliser.load(V::template initialState<1>(args, sequence, head));
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages, buffer = chunk % kScoreBuffers;
      full(stage).wait(chunk / V::kStages & 1);
      if constexpr (V::kRowProgram)
        mapRows(chunk, stage);
      fenceAsyncProxy();
      if constexpr (V::kRowProgram)
        syncWarpgroup<kScoreBarrier>();
      uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(stage));
      const Factors<V::kChunk>& factor = factors(stage);
      float sum[8][4];
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < V::kK / 16; ++step) {
        int offset = step / 4 * kPanel + step % 4 * 32;
        wgmma(Element{}, sum, panelDescriptor(q + offset), panelDescriptor(k + offset), step > 0);
      }
      wgmmaCommit();
      if constexpr (V::kNormaliser)
        normaliser.readTiles(query(stage), key(stage), factor);
      float2 after[8], own[8];
      float upper = factor.cumulative[row], lower = factor.cumulative[row + 8];
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        after[n] = *reinterpret_cast<const float2*>(factor.cumulative + n * 8 + column);
        own[n] = *reinterpret_cast<const float2*>(factor.own + n * 8 + column);
      }
      consumed(buffer).wait(~(chunk / kScoreBuffers) & 1);
      wgmmaWait<0>();
      arriveWarp(empty(stage));
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        int j = n * 8 + column;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          int i = row + e / 2 * 8;
          bool seen = j + e % 2 <= i;
          if constexpr (V::kDecay == Decay::scalar)
            sum[n][e] *= exp2((e / 2 ? lower : upper) - (e % 2 ? after[n].y : after[n].x));
          if constexpr (V::kKeyFactor)
            sum[n][e] *= e % 2 ? own[n].y : own[n].x;
          sum[n][e] = seen ? sum[n][e] : 0.0f;
        }
      }
      if constexpr (V::kNormaliser)
        normaliser.finish(sum, buffer);
#pragma unroll
      for (int n = 0; n < 8; n += 2)
        storeMatrix4(scores(buffer) + panelOffset(warp * 16 + lane % 16, n + lane / 16),
                     pack<Element>(sum[n][0], sum[n][1]), pack<Element>(sum[n][2], sum[n][3]),
                     pack<Element>(sum[n + 1][0], sum[n + 1][1]),
                     pack<Element>(sum[n + 1][2], sum[n + 1][3]));
      fenceAsyncProxy();
      arriveWarp(scored(buffer));
    }
    if constexpr (V::kNormaliser)
      if (tile == 0)
        normaliser.store(V::template finalState<1>(args, sequence, head));
  }

  /// Calls f(key channel, column of V, element) for all of the state that this thread holds and
  /// that exists.
  template <class Function>
  __device__ __forceinline__ void eachStateElement(float (&state)[kKeyPanels][8][4], int group,
                                                   Function f) const {
    int column = tile * V::kBlockV + group * kPanelColumns;
    eachElement(state, warp, lane, [&](int v, int d, float& s) {
      if ((V::kK % kPanelColumns == 0 || d < V::kK) &&
          (V::kV % V::kBlockV == 0 || column + v < V::kV))
        f(d, column + v, s);
    });
  }

  /// Turns what was read into the output and writes it.
  __device__ __forceinline__ void writeOutput(const float (&read)[8][4], int chunk, int stage,
                                              int group) {
    using Out = typename V::template Output<0>;
    const Tensor& tensor = V::template outputTensor<0>(args);
    int firstToken = chunk * V::kChunk, rows = sequence.tokens - firstToken;
    int column = tile * V::kBlockV + group * kPanelColumns + warp * 16;
    char* room = shared + V::kOutputOffset + (group * 4 + warp) * V::kChunk * 32;
    const char* values = value(stage) + group * kPanel;
    const float* sums = HopperNormaliser<V>(shared).reads(chunk % kScoreBuffers);
    uint32 packed[8][2];
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float y[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          int token = n * 8 + lane % 4 * 2 + e, v = warp * 16 + lane / 4 + half * 8;
          y[e] =
              V::finish(args, slots(stage) + token, values + panelOffset(token, v / 8) + v % 8 * 2,
                        read[n][half * 2 + e], V::kNormaliser ? sums[token] : 0.0f);
        }
        packed[n][half] = pack<Out>(y[0], y[1]);
      }
    writeTransposed<Out>(packed, room, tensor, sequence, head, column, V::kV - column, firstToken,
                         rows, lane);
  }

  /// 64 columns of V through the whole sequence.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4] = {};
    const auto initial = V::template initialState<0>(args, sequence, head);
    eachStateElement(state, group,
                     [&](int d, int v, float& s) { s = initial ? toFloat(initial(d, v)) : 0.0f; });
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages, buffer = chunk % kScoreBuffers;
      // Who computed the scores has seen the stage full, and ordered it before wgmma for all.
      scored(buffer).wait(chunk / kScoreBuffers & 1);
      uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(stage));
      const char* values = value(stage) + group * kPanel;
      const Factors<V::kChunk>& factor = factors(stage);
      float out[8][4] = {};
      // In parts: more than two panels of the rounded state find no room.
#pragma unroll
      for (int first = 0; first < V::kK / 16; first += 8) {
        if (first > 0)
          wgmmaWait<0>();
        FragmentA old[8];
#pragma unroll
        for (int step = first; step < first + 8 && step < V::kK / 16; ++step)
          old[step - first] = F::fromAccumulator(state[step / 4], step % 4);
        wgmmaFence();
#pragma unroll
        for (int step = first; step < first + 8 && step < V::kK / 16; ++step)
          wgmma<Along::contraction>(Element{}, out, old[step - first],
                                    panelDescriptor(q + step / 4 * kPanel + step % 4 * 32));
        wgmmaCommit();
      }
      FragmentA v[V::kChunk / 16];
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step)
        loadMatrix4Transposed(v[step].r, values + panelOffset(step * 16 + lane % 8 + lane / 16 * 8,
                                                              warp * 2 + lane / 8 % 2));
      wgmmaWait<0>();
      if constexpr (V::kDecay == Decay::scalar) {
#pragma unroll
        for (int n = 0; n < 8; ++n) {
          float2 f = *reinterpret_cast<const float2*>(factor.entry + n * 8 + lane % 4 * 2);
          out[n][0] *= f.x, out[n][1] *= f.y, out[n][2] *= f.x, out[n][3] *= f.y;
        }
      }
      uint32 p = sharedAddress(scores(buffer));
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step)
        wgmma<Along::contraction>(Element{}, out, v[step], panelDescriptor(p + step * 32));
      wgmmaCommit();
      FragmentA decayed[V::kChunk / 16];
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step) {
        decayed[step] = v[step];
        if constexpr (V::kDecay == Decay::scalar || V::kKeyFactor)
          F::scaleColumns(decayed[step], factor.exit + step * 16, lane);
      }
      if constexpr (V::kDecay == Decay::scalar) {
        float total = factor.total;
#pragma unroll
        for (int panel = 0; panel < kKeyPanels; ++panel)
#pragma unroll
          for (int n = 0; n < 8; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e)
              state[panel][n][e] *= total;
      }
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step)
#pragma unroll
        for (int panel = 0; panel < kKeyPanels; ++panel)
          wgmma<Along::columns>(Element{}, state[panel], decayed[step],
                                panelDescriptor(k + panel * kPanel + step * 2 * kPanelGroup));
      wgmmaCommit();
      wgmmaWait<1>();
      arriveWarp(consumed(buffer));
      writeOutput(out, chunk, stage, group);
      wgmmaWait<0>();
      arriveWarp(empty(stage));
    }
    if (auto last = V::template finalState<0>(args, sequence, head))
      eachStateElement(state, group, [&](int d, int v, float& s) {
        last(d, v) = fromFloat<typename V::template State<0>>(s);
      });
  }

  __device__ __forceinline__ void initBarriers() {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(kLoaders * 32 + 1);
        empty(stage).init(4 + 4 * kGroups);
      }
      for (int buffer = 0; buffer < kScoreBuffers; ++buffer) {
        scored(buffer).init(4);
        consumed(buffer).init(4 * kGroups);
      }
    }
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    initBarriers();
    int role = threadIdx.x / 128;
    if (role == 0) {
      lowerRegisters<V::kLoadRegisters>();
      if (warp == 0)
        copyOperand<V::kK>(V::queryTensor(args), 0, 0);
      else if (warp == 1)
        copyOperand<V::kK>(V::keyTensor(args), 0, kKeyTile);
      else if (warp == 2)
        copyOperand<V::kBlockV>(V::valueTensor(args), tile * V::kBlockV, 2 * kKeyTile,
                                V::kV - tile * V::kBlockV);
      else
        computeFactors();
    } else if (role == 1) {
      lowerRegisters<V::kScoreRegisters>();
      computeScores();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 2);
    }
  }
};
