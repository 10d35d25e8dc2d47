// Forward of a scan with one decay a token or none, for sm_90a: the portable form's algebra
// (scan.cuh) by warpgroups that work at the same time, in chunks of 64 tokens.
//
// Warpgroup 0 brings: three of its warps copy queries, keys and values into a ring of kStages
// stages, the fourth computes the token's scalars. Warpgroup 1 computes the scores of a chunk, one
// chunk ahead of the others. Each later one holds 64 columns of V of the state, transposed, in the
// accumulators of wgmma: O^T = S^T Q^T e^G + V^T P^T, S^T <- e^{G_C} S^T + V^T (e^{G_C - G} K). The
// factors of a token are on the side of V, which is in registers. Heads that share queries and keys
// may share a block: then each has warpgroups of its own, and scores of its own from one product.

/// What the scalars of a token become: G in log2 units, e^G, f e^{G_C - G} and f, where f is the
/// factor of the token's key and value, and e^{G_C} of the chunk. In reverse, where the decay comes
/// behind the read: -G, e^{G_C - G}, f e^G.
template <int CHUNK> struct alignas(16) Factors {
  float cumulative[CHUNK], entry[CHUNK], exit[CHUNK], own[CHUNK], total;
};

template <class V> struct HopperScan {
  using Element = typename V::Element;
  using StateElement = typename V::template State<0>;
  using F = Fragments<Element>;
  static constexpr int kPanel = V::kChunk * kPanelRow;  ///< Bytes.
  static constexpr int kKeyPanels = (V::kK + kPanelColumns - 1) / kPanelColumns;
  static constexpr int kKeyTile = kKeyPanels * kPanel;
  static constexpr int kGroups = V::kBlockV / kPanelColumns;  ///< Warpgroups that hold the state.
  /// Neighbouring heads of a block, which share its queries and keys.
  static constexpr int kHeads = V::kHeads, kGroupsOfHead = kGroups / kHeads;
  using States =
      SegmentStates<4 * kGroups, kKeyPanels, V::kNormaliser ? 4 : 0, V::kNormaliser ? V::kK : 0>;
  /// Chunks between two updates of the state. Of two, the later one's queries see the earlier one's
  /// keys through scores, and the outputs take the place of their values.
  static constexpr int kTogether = V::kTogether;
  static constexpr int kScoreTiles = kTogether * (kTogether + 1) / 2;  ///< Of one update and head.
  static constexpr int kScoreBarrier = 1, kOutputBarrier = 2;          ///< Of warpgroups.
  static constexpr int kSumBarrier = kOutputBarrier + kGroups;         ///< Of those of one head.
  static constexpr int kOutputMap = V::kOutputMap;  ///< Its place among the maps.
  static constexpr int kGateMap = 4;                ///< Of the output's gate.
  static constexpr int kMaps = int(sizeof(Args::maps) / sizeof(TensorMap));
  static constexpr int kCopies = V::kOutputGate ? 4 : 3;  ///< Tensors brought to a stage.

  const Args& args;
  char* const shared;  ///< A multiple of 1024, the period of the swizzle.
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  const int tile = blockIdx.x % V::kTiles;
  /// The block's first head and its sequence, among those of all segments.
  const int ofAll = int(blockIdx.x) / V::kTiles * kHeads;
  const int row = quotient(ofAll, args.heads, args.headsReciprocal);
  const int firstHead = ofAll - row * args.heads;
  const int part = args.segments > 1 ? row / args.batch : 0;
  const int units = args.batch * (args.heads / kHeads * V::kTiles);
  const int unit = int(blockIdx.x) - part * units;
  const Sequence sequence = args.sequence(row - part * args.batch, V::kMirrored);
  const int chunks = (sequence.tokens + V::kChunk - 1) / V::kChunk;
  const int segments = V::kPair ? args.segments / 2 : args.segments;  ///< Of one of two scans.
  const int index = part - (V::kMirrored ? segments : 0);
  const Segment segment = V::kSum ? Segment::ofSum(index, segments, chunks)
                                  : Segment(index, segments, chunks, kTogether, V::kReverse);

  __device__ __forceinline__ char* query(int stage) const {
    return shared + stage * V::kStageBytes;
  }
  __device__ __forceinline__ char* key(int stage) const { return query(stage) + kKeyTile; }
  __device__ __forceinline__ char* value(int stage) const { return query(stage) + 2 * kKeyTile; }
  /// Of the block's head number `own`, as are those below. `tile` counts those of one update: of a
  /// chunk with itself, then of the later chunk with the earlier one and with itself.
  __device__ __forceinline__ char* scores(int buffer, int own, int tile = 0) const {
    return shared + V::kScoreOffset + ((buffer * kHeads + own) * kScoreTiles + tile) * kPanel;
  }
  __device__ __forceinline__ Factors<V::kChunk>& factors(int stage, int own) const {
    return reinterpret_cast<Factors<V::kChunk>*>(shared + V::kFactorOffset)[stage * kHeads + own];
  }
  __device__ __forceinline__ float* slots(int stage, int own) const {
    return reinterpret_cast<float*>(shared + V::kSlotOffset) +
           (stage * kHeads + own) * V::kSlots * V::kChunk;
  }
  /// Which of the block's heads a warpgroup has, and its first column of V.
  __device__ __forceinline__ int ownOf(int group) const { return group / kGroupsOfHead; }
  __device__ __forceinline__ int headOf(int group) const { return firstHead + ownOf(group); }
  __device__ __forceinline__ int columnOf(int group) const {
    return tile * V::kBlockV + group % kGroupsOfHead * kPanelColumns;
  }
  /// The barriers: a stage is full, is empty (its values' part for itself where outputs take their
  /// place); the scores of a chunk are there, those of an update are used up.
  __device__ __forceinline__ Barrier barrier(int index) const {
    return Barrier(shared + V::kBarrierOffset + index * 8);
  }
  __device__ __forceinline__ Barrier full(int stage) const { return barrier(stage); }
  __device__ __forceinline__ Barrier empty(int stage) const { return barrier(V::kStages + stage); }
  /// In the sweep: the rows of a stage are mapped.
  __device__ __forceinline__ Barrier mapped(int stage) const {
    return barrier(2 * V::kStages + stage);
  }
  __device__ __forceinline__ Barrier emptyOfValues(int stage) const {
    return kTogether > 1 ? barrier(3 * V::kStages + stage) : empty(stage);
  }
  __device__ __forceinline__ Barrier scored(int buffer, int which = 0) const {
    return barrier(4 * V::kStages + buffer * kTogether + which);
  }
  __device__ __forceinline__ Barrier consumed(int buffer) const {
    return barrier(4 * V::kStages + V::kScoreBuffers * kTogether + buffer);
  }
  /// Once for each warp.
  __device__ __forceinline__ void arriveWarp(Barrier barrier) const {
    __syncwarp();
    if (lane == 0)
      barrier.arrive();
  }

  /// Whether the copy engine, whose writes wgmma sees as they are, brings all of a round.
  __device__ __forceinline__ bool byEngine(int round) const {
    return (args.mapped & 7) == 7 && (segment.chunk(round) + 1) * V::kChunk <= sequence.tokens;
  }

  template <int COLUMNS, int HEADS> struct StageCopy;
  template <class Function> __device__ __forceinline__ void eachRound(Function f) const {
#pragma unroll 1
    for (int round = 0; round < segment.rounds(); ++round)
      f(round);
  }
  /// What one warp each brings: queries and, with the values, the output's gates in the walk alone,
  /// keys and values always. With KEYS the warp of the queries brings the keys as well.
  template <bool KEYS> __device__ void copyQueries();
  __device__ void copyKeys();
  __device__ void copyValues();

  /// One warp computes the scalars of a head, of two tokens a lane, loaded as far ahead as rows are
  /// copied.
  __device__ void computeFactors(int own);
  /// Those of one round and head, from what was loaded.
  __device__ void computeFactorsOf(typename V::Inputs (&inputs)[2],
                                   const typename V::Params& params, int round, int stage, int own,
                                   float& behind);

  /// Queries, keys and values of a chunk become what the spec makes of them, in their places.
  __device__ void mapRows(int chunk, int stage);

  /// What the warpgroup of the scores does for the sweep.
  __device__ void sweepTiles(HopperNormaliser<V>& normaliser);

  /// Puts what a thread holds of an accumulator into a tile, rounded.
  __device__ void storeScores(char* tile, const float (&score)[8][4]) const;
  /// P[i][j] = (query_i . key_j) e^{H_i} e^{G_C - G_j} f_j of the queries of a chunk and the keys
  /// of the one before it, whose stage is then given back.
  __device__ void scoreEarlier(int stage, int earlier, int buffer);
  /// P[i][j] = (query_i . key_j) e^{G_i - G_j} f_j for j <= i, or in reverse e^{G_j - G_i} for
  /// j >= i, rounded, of every chunk of the walk and head of the block.
  __device__ void computeScores();

  /// Calls f(key channel, column of V, element) for all of the state that this thread holds and
  /// that exists.
  template <class Function>
  __device__ __forceinline__ void eachStateElement(float (&state)[kKeyPanels][8][4], int group,
                                                   Function f) const {
    int column = columnOf(group);
    eachElement(state, warp, lane, [&](int v, int d, float& s) {
      if ((V::kK % kPanelColumns == 0 || d < V::kK) &&
          (V::kV % V::kBlockV == 0 || column + v < V::kV))
        f(d, column + v, s);
    });
  }
  /// Calls f(element in memory, element of the state) for the same. One address goes along, as
  /// there is no room for more.
  template <class T, class Function>
  __device__ __forceinline__ void eachStoredElement(const StateView<T>& view,
                                                    float (&state)[kKeyPanels][8][4], int group,
                                                    Function f) const {
    const int column = columnOf(group) + warp * 16 + lane / 4;
    T* element = &view(lane % 4 * 2, column);
#pragma unroll
    for (int n = 0; n < kKeyPanels * 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if ((V::kK % kPanelColumns == 0 || n * 8 + lane % 4 * 2 + e % 2 < V::kK) &&
            (V::kV % V::kBlockV == 0 || column + e / 2 * 8 < V::kV))
          f(element[e % 2 * view.key + e / 2 * 8 * view.value], state[n / 8][n % 8][e]);
      element = opaque(element + 8 * view.key);
    }
  }

  /// Turns what was read of a chunk into the output, rounded.
  __device__ void finishOutput(uint32 (&packed)[8][2], const float (&read)[8][4],
                               const FragmentA (&values)[V::kChunk / 16], int stage, int buffer,
                               int group) const;
  /// Writes the output through the warpgroup's own room, as a thread has single elements of many
  /// tokens; whole chunks by the copy engine where the output has a map.
  __device__ void writeOutput(const uint32 (&packed)[8][2], int chunk, int group) const;
  /// What a warp of the state has summed of the columns, token by token.
  __device__ __forceinline__ float* sumsOf(int buffer, int sum, int row) const {
    return reinterpret_cast<float*>(shared + V::kSumOffset) +
           ((buffer * V::kSums + sum) * 4 * kGroups + row) * V::kChunk;
  }
  __device__ void gatherSums(float (&sum)[8][2], float* to) const;
  template <int SUM> __device__ void writeSum(int thread, int chunk, int buffer, int group) const;
  /// Writes the sums of a chunk, whose parts all warps of the head have put into their rows.
  __device__ void writeSums(int chunk, int buffer, int group) const;
  /// Puts the output of a chunk into `room`, where another thread of the warpgroup will take it.
  __device__ void stageOutput(char* room, const uint32 (&packed)[8][2]) const;
  /// From there to memory.
  __device__ void storeOutput(const char* room, int chunk, int group) const;
  /// Whether the copy engine brings a chunk's output to memory.
  __device__ __forceinline__ bool outputByEngine(int chunk) const {
    return (args.mapped >> kOutputMap & 1) && (chunk + 1) * V::kChunk <= sequence.tokens;
  }
  /// What the copy engine cannot write.
  __device__ void writeRows(const char* room, int firstToken, int group) const;

  /// The values of a chunk as an A operand, transposed.
  __device__ __forceinline__ void loadValues(FragmentA (&v)[V::kChunk / 16], int stage,
                                             int group) const {
    const uint32 first = columnsAddress(value(stage) + group * kPanel);
#pragma unroll
    for (int step = 0; step < V::kChunk / 16; ++step)
      loadColumns(v[step], first, step);
  }
  /// Where a lane's part of the first 16 tokens of a panel lies. One address is kept where there
  /// would be one for each 16 tokens, as every register counts.
  __device__ __forceinline__ uint32 columnsAddress(const char* panel) const {
    return opaque(sharedAddress(panel) +
                  panelOffset(lane % 8 + lane / 16 * 8, warp * 2 + lane / 8 % 2));
  }
  /// The values of 16 tokens.
  __device__ __forceinline__ void loadColumns(FragmentA& v, uint32 first, int step) const {
    loadMatrix4Transposed(v.r, first + step * 2 * kPanelGroup);
  }
  __device__ __forceinline__ void loadColumns(FragmentA& v, const char* panel, int step) const {
    loadColumns(v, columnsAddress(panel), step);
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
                              panelDescriptor(k, panel * kPanel + step * 2 * kPanelGroup), 1);
    wgmmaCommit();
  }

  /// Whether values go to the tensor cores as they lie in shared memory: where none is scaled, and
  /// the reads of a normaliser need the registers.
  static constexpr bool kValuesInPlace =
      V::kNormaliser && V::kDecay == Decay::none && !V::kKeyFactor;

  /// out += V^T P^T, S^T += V^T K with such values, to be waited for in turn.
  __device__ void addInPlace(float (&out)[8][4], float (&state)[kKeyPanels][8][4], int stage,
                             int buffer, int group) const;

  /// By the factors to the end of the chunk, and the decay behind it.
  __device__ __forceinline__ void scaleValues(FragmentA (&v)[V::kChunk / 16], int stage, int group,
                                              float behind = 1.0f) const {
    if constexpr (V::kDecay == Decay::scalar || V::kKeyFactor)
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step)
        F::scaleColumns(v[step], factors(stage, ownOf(group)).exit + step * 16, lane, behind);
  }

  /// The state that the segment makes of zero, and the decay over it.
  __device__ float sweep(float (&state)[kKeyPanels][8][4], int group);
  /// The state at the start of the segment.
  __device__ void findState(float (&state)[kKeyPanels][8][4], int group, const States& states);

  /// S^T Q^T of a chunk of the walk, to be waited for. Behind the last chunk it reads what is
  /// there, for nothing: the tensor cores do not stay busy past a branch.
  __device__ __forceinline__ void readState(float (&out)[8][4],
                                            const float (&state)[kKeyPanels][8][4], int walked) {
    int buffer = walked % V::kScoreBuffers;
    uint32 q = sharedAddress(query((segment.swept + walked) % V::kStages));
    // Who computed the scores has seen the stage full, and ordered it before wgmma for all.
    if (walked < segment.chunks)
      scored(buffer).wait(walked / V::kScoreBuffers & 1);
    // In parts: more than two panels of the rounded state find no room.
    constexpr int kPart = kKeyPanels > 2 ? 2 : 8;
#pragma unroll
    for (int first = 0; first < V::kK / 16; first += kPart) {
      if (first > 0)
        wgmmaWait<0>();
      FragmentA rounded[kPart];
#pragma unroll
      for (int step = first; step < first + kPart && step < V::kK / 16; ++step)
        rounded[step - first] = F::fromAccumulator(state[step / 4], step % 4);
      wgmmaFence();
#pragma unroll
      for (int step = first; step < first + kPart && step < V::kK / 16; ++step)
        wgmma<Along::contraction>(Element{}, out, rounded[step - first],
                                  panelDescriptor(q, step / 4 * kPanel + step % 4 * 32), step > 0);
      wgmmaCommit();
    }
  }

  /// out += V^T P^T, to be waited for.
  __device__ __forceinline__ void
  addScores(float (&out)[8][4], const FragmentA (&v)[V::kChunk / 16], int buffer, int group) {
    uint32 p = sharedAddress(scores(buffer, ownOf(group)));
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < V::kChunk / 16; ++step)
      wgmma<Along::contraction>(Element{}, out, v[step], panelDescriptor(p, step * 32), 1);
    wgmmaCommit();
  }

  __device__ __forceinline__ void decayState(float (&state)[kKeyPanels][8][4], int stage,
                                             int group) const {
    if constexpr (V::kDecay == Decay::scalar) {
      float total = factors(stage, ownOf(group)).total;
      eachElement(state, warp, lane, [&](int, int, float& s) { s *= total; });
    }
  }

  /// `before`: the decay before the chunk.
  __device__ __forceinline__ void decayRead(float (&out)[8][4], int stage, int group,
                                            float before = 1.0f) const {
    if constexpr (V::kDecay == Decay::scalar)
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        const float* entry = factors(stage, ownOf(group)).entry + n * 8 + lane % 4 * 2;
        float2 f = *reinterpret_cast<const float2*>(entry);
        f.x *= before, f.y *= before;
        out[n][0] *= f.x, out[n][1] *= f.y, out[n][2] *= f.x, out[n][3] *= f.y;
      }
  }

  /// The walk, by single chunks (scan_sm90_walk.cuh).
  __device__ void walk(float (&state)[kKeyPanels][8][4], int group);
  /// By two at once (scan_sm90_double.cuh).
  __device__ void walkDouble(float (&state)[kKeyPanels][8][4], int group);

  /// 64 columns of V through the segment (scan_sm90_state.cuh).
  __device__ void advance(int group);

  __device__ __forceinline__ void initBarriers() {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(kCopies * 32 + kHeads);
        empty(stage).init(4 + 4 * kGroups);
        mapped(stage).init(4);
        if (kTogether > 1)
          emptyOfValues(stage).init(4 * kGroups);
      }
      for (int buffer = 0; buffer < V::kScoreBuffers; ++buffer) {
        for (int which = 0; which < kTogether; ++which)
          scored(buffer, which).init(4);
        consumed(buffer).init(4 * kGroups);
      }
    }
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    if (threadIdx.x < kMaps && (args.mapped >> threadIdx.x & 1))
      prefetchMap(args.maps[threadIdx.x]);
    initBarriers();
    // The same for all of a warp, which the compiler could not know.
    const int role = __shfl_sync(~0u, int(threadIdx.x) / 128, 0);
    if (role == 0) {
      lowerRegisters<V::kLoadRegisters>();
      if (warp == 0)
        // The scalars of two heads are the work of two warps.
        if constexpr (kHeads > 1)
          computeFactors(1);
        else
          copyQueries<false>();
      else if (warp == 1)
        if constexpr (kHeads > 1)
          copyQueries<true>();
        else
          copyKeys();
      else if (warp == 2)
        copyValues();
      else
        computeFactors(0);
    } else if (role == 1) {
      lowerRegisters<V::kScoreRegisters>();
      computeScores();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 2);
    }
  }
};
