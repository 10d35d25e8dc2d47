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
  using States =
      SegmentStates<4 * kGroups, kKeyPanels, V::kNormaliser ? 4 : 0, V::kNormaliser ? V::kK : 0>;
  static constexpr int kScoreBuffers = 2, kScoreBarrier = 1;
  static constexpr int kLoaders = 3;  ///< Warps that copy.

  const Args& args;
  char* const shared;  ///< A multiple of 1024, the period of the swizzle.
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  const int units = args.batch * args.heads * V::kTiles, unit = blockIdx.x % units;
  const int tile = unit % V::kTiles, head = unit / V::kTiles % args.heads;
  const Sequence sequence = args.sequence(unit / V::kTiles / args.heads);
  const Segment segment{int(blockIdx.x) / units, args.segments,
                        (sequence.tokens + V::kChunk - 1) / V::kChunk};

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
  /// In the sweep: the rows of a stage are mapped.
  __device__ __forceinline__ Barrier mapped(int stage) const {
    return barrier(2 * V::kStages + 2 * kScoreBuffers + stage);
  }
  /// Once for each warp.
  __device__ __forceinline__ void arriveWarp(Barrier barrier) const {
    __syncwarp();
    if (lane == 0)
      barrier.arrive();
  }

  /// One warp copies one operand of every round, or of those of the walk alone. Of COLUMNS columns
  /// `exists` are there.
  template <int COLUMNS>
  __device__ void copyOperand(const Tensor& tensor, int column, int offset, int exists,
                              bool sweeps);

  /// One warp computes the scalars of two tokens a lane, loaded as far ahead as rows are copied.
  __device__ void computeFactors();

  /// Queries, keys and values of a chunk become what the spec makes of them, in their places.
  __device__ void mapRows(int chunk, int stage);

  /// What the warpgroup of the scores does for the sweep.
  __device__ void sweepTiles(HopperNormaliser<V>& normaliser);

  /// P[i][j] = (query_i . key_j) e^{G_i - G_j} f_j for j <= i, rounded, of every chunk of the walk.
  __device__ void computeScores();

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
  __device__ __forceinline__ void writeOutput(const float (&read)[8][4],
                                              const FragmentA (&values)[V::kChunk / 16], int chunk,
                                              int stage, int buffer, int group) {
    using Out = typename V::template Output<0>;
    const Tensor& tensor = V::template outputTensor<0>(args);
    int firstToken = chunk * V::kChunk, rows = sequence.tokens - firstToken;
    int column = tile * V::kBlockV + group * kPanelColumns + warp * 16;
    char* room = shared + V::kOutputOffset + (group * 4 + warp) * V::kChunk * 32;
    const float* sums = HopperNormaliser<V>(shared).reads(buffer);
    uint32 packed[8][2];
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float y[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          // The fragments of the values hold what the accumulators do.
          Element x{uint16(values[n / 2].r[n % 2 * 2 + half] >> e * 16)};
          int token = n * 8 + lane % 4 * 2 + e;
          y[e] = V::finish(args, slots(stage) + token, toFloat(x), read[n][half * 2 + e],
                           V::kNormaliser ? sums[token] : 0.0f);
        }
        packed[n][half] = pack<Out>(y[0], y[1]);
      }
    writeTransposed<Out>(packed, room, tensor, sequence, head, column, V::kV - column, firstToken,
                         rows, lane);
  }

  /// The values of a chunk as an A operand, transposed.
  __device__ __forceinline__ void loadValues(FragmentA (&v)[V::kChunk / 16], int stage,
                                             int group) const {
    const char* panel = value(stage) + group * kPanel;
#pragma unroll
    for (int step = 0; step < V::kChunk / 16; ++step)
      loadMatrix4Transposed(v[step].r, panel + panelOffset(step * 16 + lane % 8 + lane / 16 * 8,
                                                           warp * 2 + lane / 8 % 2));
  }

  /// S^T += V^T (e^{G_C - G} K), to be waited for.
  __device__ __forceinline__ void addChunk(float (&state)[kKeyPanels][8][4],
                                           const FragmentA (&v)[V::kChunk / 16], int stage) const {
    uint32 k = sharedAddress(key(stage));
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < V::kChunk / 16; ++step)
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
        wgmma<Along::columns>(Element{}, state[panel], v[step],
                              panelDescriptor(k + panel * kPanel + step * 2 * kPanelGroup));
    wgmmaCommit();
  }

  __device__ __forceinline__ void scaleValues(FragmentA (&v)[V::kChunk / 16], int stage) const {
    if constexpr (V::kDecay == Decay::scalar || V::kKeyFactor)
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step)
        F::scaleColumns(v[step], factors(stage).exit + step * 16, lane);
  }

  /// The state that the segment makes of zero, and the decay over it.
  __device__ __forceinline__ float sweep(float (&state)[kKeyPanels][8][4], int group) {
    float decay = 1;
#pragma unroll 1
    for (int round = 0; round < segment.swept; ++round) {
      int stage = round % V::kStages;
      if constexpr (V::kRowProgram)
        mapped(stage).wait(round / V::kStages & 1);
      else
        full(stage).wait(round / V::kStages & 1);
      // No store to global memory waits yet, so the fence is cheap.
      fenceAsyncProxy();
      FragmentA v[V::kChunk / 16];
      loadValues(v, stage, group);
      scaleValues(v, stage);
      decay = factors(stage).total;
      addChunk(state, v, stage);
      wgmmaWait<0>();
      arriveWarp(empty(stage));
    }
    return decay;
  }

  /// The state at the start of the segment.
  __device__ __forceinline__ void findState(float (&state)[kKeyPanels][8][4], int group,
                                            const States& states) {
    if (!segment.last()) {
      eachStateElement(state, group, [&](int, int, float& s) { s = 0.0f; });
      float decay = sweep(state, group);
      states.share(state, decay);
    }
    const auto initial = V::template initialState<0>(args, sequence, head);
    eachStateElement(state, group,
                     [&](int d, int v, float& s) { s = initial ? toFloat(initial(d, v)) : 0.0f; });
    if (segment.index > 0)
      states.join(state);
    if (!segment.last())
      states.leave();
  }

  /// 64 columns of V through the segment.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4];
    const States states{segment, static_cast<char*>(args.workspace), unit,
                        group * 128 + warp * 32 + lane, lane};
    findState(state, group, states);
#pragma unroll 1
    for (int walked = 0; walked < segment.chunks; ++walked) {
      int round = segment.swept + walked, stage = round % V::kStages;
      int buffer = walked % kScoreBuffers;
      // Who computed the scores has seen the stage full, and ordered it before wgmma for all.
      scored(buffer).wait(walked / kScoreBuffers & 1);
      uint32 q = sharedAddress(query(stage));
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
      loadValues(v, stage, group);
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
      for (int step = 0; step < V::kChunk / 16; ++step)
        decayed[step] = v[step];
      scaleValues(decayed, stage);
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
      addChunk(state, decayed, stage);
      wgmmaWait<1>();
      arriveWarp(consumed(buffer));
      writeOutput(out, v, segment.chunk(round), stage, buffer, group);
      wgmmaWait<0>();
      arriveWarp(empty(stage));
    }
    if (!segment.last())
      return;
    if (segment.count > 1)
      states.awaitOthers();
    if (auto last = V::template finalState<0>(args, sequence, head))
      eachStateElement(state, group, [&](int d, int v, float& s) {
        last(d, v) = fromFloat<typename V::template State<0>>(s);
      });
    if (segment.count > 1)
      states.close();
  }

  __device__ __forceinline__ void initBarriers() {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(kLoaders * 32 + 1);
        empty(stage).init(4 + 4 * kGroups);
        mapped(stage).init(4);
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
        copyOperand<V::kK>(V::queryTensor(args), 0, 0, V::kK, false);
      else if (warp == 1)
        copyOperand<V::kK>(V::keyTensor(args), 0, kKeyTile, V::kK, true);
      else if (warp == 2)
        copyOperand<V::kBlockV>(V::valueTensor(args), tile * V::kBlockV, 2 * kKeyTile,
                                V::kV - tile * V::kBlockV, true);
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
