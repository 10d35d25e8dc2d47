// Forward of a scan with a decay of every key channel, for sm_90a: the form of scan_sm90.cuh with
// another warpgroup 1, in chunks of 64 tokens, each of its warps one sub-chunk of 16.
//
// With r_i the sum of the gates before sub-chunk i, token t of it, and G the cumulative gates, the
// warpgroup makes a = q e^{G_t - r_i} and e = k e^{r_{i+1} - G_t}, of which everything else is a
// product with vectors over K: the queries and keys of the state, a e^{r_i} and e e^{G_C -
// r_{i+1}}, take the place of those that were loaded; e takes that of the gates, where the scores
// of later sub-chunks find it. All exponents are sums of gates, added up by the tensor cores, and
// at most 0 for decays of at most 1. Only within a sub-chunk does e^{r_i - r_{i+1}} grow; where its
// range is too wide, its scores are computed in halves (strongDiagonal).

/// A fragment of ones where `inside` holds for a row and a column, else of zeros.
template <class T, class Inside>
__device__ __forceinline__ FragmentA onesWhere(int lane, Inside inside) {
  FragmentA a;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4 + i % 2 * 8, column = lane % 4 * 2 + i / 2 * 8;
    a.r[i] = pack<T>(inside(row, column) ? 1.0f : 0.0f, inside(row, column + 1) ? 1.0f : 0.0f);
  }
  return a;
}

template <class V> struct HopperChannelScan : HopperScan<V> {
  using Base = HopperScan<V>;
  using Element = typename V::Element;
  using Gate = typename V::Gate;
  using F = Fragments<Element>;
  using Base::args;
  using Base::chunks;
  using Base::empty;
  using Base::full;
  using Base::key;
  using Base::kGroups;
  using Base::kKeyPanels;
  using Base::kKeyTile;
  using Base::kPanel;
  using Base::lane;
  using Base::query;
  using Base::shared;
  using Base::value;
  using Base::warp;
  static constexpr int kSteps = V::kK / 16;  ///< Of 16 channels.
  static constexpr int kParts = V::kChunk / 16;
  static constexpr int kLoaders = 4;
  /// Binary orders of magnitude that the decay of a sub-chunk may span for its scores to be one
  /// product: what bf16 and the sums in fp32 hold, with room for queries and keys.
  static constexpr float kWidest = 96.0f;
  static constexpr float kLeastGate = -16384.0f;

  /// What a warp knows of 16 tokens of 2 channels, each a factor: from the start of the chunk to
  /// that of the sub-chunk, from its end to that of the chunk, and back over it.
  struct alignas(8) ChannelFactors {
    float before[2], after[2], back[2];
  };

  __device__ __forceinline__ char* gates(int stage) const { return query(stage) + V::kGateOffset; }
  __device__ __forceinline__ char* scores(int buffer) const {
    return shared + V::kScoreOffset + buffer * kPanel;
  }
  __device__ __forceinline__ Barrier scored(int buffer) const {
    return Base::barrier(2 * V::kStages + buffer);
  }
  __device__ __forceinline__ Barrier consumed(int buffer) const {
    return Base::barrier(2 * V::kStages + V::kScoreBuffers + buffer);
  }
  /// The decay of each channel over a chunk. Scores are written when those of kScoreBuffers chunks
  /// ago are used up, so one more room is free by the next chunk.
  __device__ __forceinline__ float* chunkDecay(int chunk) const {
    return reinterpret_cast<float*>(shared + V::kDecayOffset) +
           chunk % (V::kScoreBuffers + 1) * V::kK;
  }
  /// The sum of the gates of each channel over a sub-chunk, in log2 units, and the decay that it
  /// is, of pairs of channels.
  __device__ __forceinline__ float* partGates(int part) const {
    return reinterpret_cast<float*>(shared + V::kPartOffset) + part * V::kK;
  }
  __device__ __forceinline__ uint32* partDecay(int part) const {
    return reinterpret_cast<uint32*>(shared + V::kPartOffset + kParts * V::kK * 4) +
           part * (V::kK / 2);
  }
  __device__ __forceinline__ ChannelFactors* factors() const {
    return reinterpret_cast<ChannelFactors*>(shared + V::kFactorOffset) + warp * (V::kK / 2);
  }

  /// Where a lane's row of a fragment of 16 x 16 of this warp's sub-chunk lies in a stage's
  /// queries, for ldmatrix and stmatrix.
  __device__ __forceinline__ uint32 fragmentAddress(int stage, int step) const {
    uint32 first = sharedAddress(query(stage)) + panelOffset(warp * 16 + lane % 16, lane / 16);
    return (first ^ step % 4 * 32) + step / 4 * kPanel;
  }
  __device__ __forceinline__ FragmentB loadGates(int stage, int step) const {
    FragmentB b;
    loadMatrix4Transposed(b.r, fragmentAddress(stage, step) + V::kGateOffset);
    // The logarithm of zero times zero would be no number.
#pragma unroll
    for (int i = 0; i < 4; ++i)
      b.r[i] = maximumPacked<Gate>(b.r[i], pack<Gate>(kLeastGate, kLeastGate));
    return b;
  }
  __device__ __forceinline__ FragmentA loadRows(uint32 address) const {
    FragmentA a;
    loadMatrix4(a.r, address);
    return a;
  }
  static __device__ __forceinline__ float2 unpack(uint32 x) {
    return make_float2(toFloat(Element{uint16(x)}), toFloat(Element{uint16(x >> 16)}));
  }
  /// Rows as the columns of a B operand.
  static __device__ __forceinline__ FragmentB asColumns(const FragmentA& a) {
    return {{a.r[0], a.r[2], a.r[1], a.r[3]}};
  }

  /// The gates of this warp's sub-chunk, summed for each channel; returns which steps are too wide.
  __device__ __forceinline__ int sumGates(int stage) const {
    const FragmentA all = onesWhere<Gate>(lane, [](int, int) { return true; });
    int strong = 0;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      float sum[2][4] = {};
      mma16<Gate>(sum[0], sum[1], all, loadGates(stage, step));
      float least = 0.0f;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float2 total = make_float2(sum[half][0] * kLog2E, sum[half][1] * kLog2E);
        least = fminf(least, fminf(total.x, total.y));
        if (lane < 4)
          *reinterpret_cast<float2*>(partGates(warp) + step * 16 + half * 8 + lane * 2) = total;
      }
      strong |= __any_sync(~0u, least < -kWidest) << step;
    }
    return strong;
  }

  /// The factors of this warp's sub-chunk, from the sums of all.
  __device__ __forceinline__ void findFactors(int chunk, int strong) const {
#pragma unroll
    for (int first = 0; first < V::kK / 2; first += 32) {
      int pair = first + lane;
      if (pair >= V::kK / 2)
        continue;
      float2 own = {}, before = {}, after = {};
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        float2 sum = *reinterpret_cast<const float2*>(partGates(part) + pair * 2);
        if (part == warp)
          own = sum;
        else if (part < warp)
          before.x += sum.x, before.y += sum.y;
        else
          after.x += sum.x, after.y += sum.y;
      }
      bool wide = strong >> pair / 8 & 1;
      factors()[pair] = {{exp2(before.x), exp2(before.y)},
                         {exp2(after.x), exp2(after.y)},
                         {wide ? 0.0f : exp2(-own.x), wide ? 0.0f : exp2(-own.y)}};
      partDecay(warp)[pair] = pack<Element>(exp2(own.x), exp2(own.y));
      if (warp == 0)
        *reinterpret_cast<float2*>(chunkDecay(chunk) + pair * 2) =
            make_float2(exp2(own.x + after.x), exp2(own.y + after.y));
    }
    __syncwarp();
  }

  /// The scores within this warp's sub-chunk over the steps of `strong`, for gates without bound: a
  /// block of 2 SIZE tokens is scored upper half by lower half, with the decays from and to its
  /// middle, then its halves likewise.
  __device__ __forceinline__ void scoreStrong(float (&scores)[2][4], int stage, int strong) const {
#pragma unroll 1
    for (int size = 8; size >= 0; size /= 2) {
      // Of a query, the gates from the middle of its block to it; of a key, those from it to there.
      const FragmentA between = onesWhere<Gate>(lane, [&](int row, int column) {
        int middle = (row & -2 * size) + size;
        return size > 0 && (row & size ? column >= middle && column <= row - int(V::kReadsBefore)
                                       : column > row && column < middle);
      });
      float sum[2][4] = {};
#pragma unroll 1
      for (int step = 0; step < kSteps; ++step) {
        if (!(strong >> step & 1))
          continue;
        float gate[2][4] = {};
        mma16<Gate>(gate[0], gate[1], between, loadGates(stage, step));
        uint32 address = fragmentAddress(stage, step);
        FragmentA q = loadRows(address), k = loadRows(address + kKeyTile);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float* own = gate[i / 2] + i % 2 * 2;
          float low = exp2(own[0] * kLog2E), high = exp2(own[1] * kLog2E);
          q.r[i] = scalePacked<Element>(q.r[i], low, high);
          k.r[i] = scalePacked<Element>(k.r[i], low, high);
        }
        mma16<Element>(sum[0], sum[1], q, asColumns(k));
      }
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          int i = lane / 4 + e / 2 * 8, j = n * 8 + lane % 4 * 2 + e % 2;
          bool inside = size == 0 ? i == j && !V::kReadsBefore : (i ^ j) / size == 1 && i & size;
          scores[n][e] += inside ? sum[n][e] : 0.0f;
        }
      if (size == 0)
        return;
    }
  }

  /// Decays the queries and keys of this warp's sub-chunk, adds to the scores within it, and keeps
  /// the queries, decayed from its start.
  __device__ __forceinline__ void decayRows(FragmentA (&queries)[4 * kKeyPanels],
                                            float (&scores)[2][4], int stage) const {
    const FragmentA upTo = onesWhere<Gate>(
        lane, [](int row, int column) { return column <= row - int(V::kReadsBefore); });
    const ChannelFactors* own = factors() + lane % 4;
    const FragmentA behind =
        onesWhere<Gate>(lane, [](int row, int column) { return column > row; });
#pragma unroll 1
    for (int panel = 0; panel < kKeyPanels; ++panel) {
      // One panel of code at a time, so that its registers are known.
#pragma unroll
      for (int i = 0; i < 4 * kKeyPanels - 4; ++i)
        queries[i] = queries[i + 4];
#pragma unroll
      for (int within = 0; within < 4; ++within) {
        int step = panel * 4 + within;
        if (V::kK % kPanelColumns != 0 && step >= kSteps)
          break;
        FragmentB gate = loadGates(stage, step);
        float entry[2][4] = {}, exit[2][4] = {};
        mma16<Gate>(entry[0], entry[1], upTo, gate);
        mma16<Gate>(exit[0], exit[1], behind, gate);
        uint32 address = fragmentAddress(stage, step);
        FragmentA q = loadRows(address), k = loadRows(address + kKeyTile), a, e, back;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const ChannelFactors& f = own[step * 8 + half * 4];
#pragma unroll
          for (int i = half * 2; i < half * 2 + 2; ++i) {
            const float *in = entry[half] + i % 2 * 2, *out = exit[half] + i % 2 * 2;
            float2 x = unpack(q.r[i]), y = unpack(k.r[i]);
            x.x *= exp2(in[0] * kLog2E), x.y *= exp2(in[1] * kLog2E);
            y.x *= exp2(out[0] * kLog2E), y.y *= exp2(out[1] * kLog2E);
            queries[4 * kKeyPanels - 4 + within].r[i] = pack<Element>(x.x, x.y);
            a.r[i] = pack<bf16>(x.x, x.y);
            q.r[i] = pack<Element>(x.x * f.before[0], x.y * f.before[1]);
            e.r[i] = pack<Element>(y.x, y.y);
            back.r[i] = pack<bf16>(y.x * f.back[0], y.y * f.back[1]);
            k.r[i] = pack<Element>(y.x * f.after[0], y.y * f.after[1]);
          }
        }
        mma16<bf16>(scores[0], scores[1], a, asColumns(back));
        storeMatrix4(address, q.r[0], q.r[1], q.r[2], q.r[3]);
        storeMatrix4(address + kKeyTile, k.r[0], k.r[1], k.r[2], k.r[3]);
        storeMatrix4(address + V::kGateOffset, e.r[0], e.r[1], e.r[2], e.r[3]);
      }
    }
  }

  /// The scores of this warp's sub-chunk by the earlier sub-chunk `part`.
  __device__ __forceinline__ void scoreEarlier(float (&scores)[2][4],
                                               const FragmentA (&queries)[4 * kKeyPanels],
                                               int stage, int part) const {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      FragmentB e;
      loadMatrix4(
          e.r, gates(stage) + step / 4 * kPanel +
                   panelOffset(part * 16 + lane % 8 + lane / 16 * 8, step % 4 * 2 + lane / 8 % 2));
      mma16<Element>(scores[0], scores[1], queries[step], e);
    }
  }

  /// The queries once more decayed by the sub-chunk `part`.
  __device__ __forceinline__ void decayQueries(FragmentA (&queries)[4 * kKeyPanels],
                                               int part) const {
#pragma unroll
    for (int step = 0; step < kSteps; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        queries[step].r[i] = multiplyPacked<Element>(
            queries[step].r[i], partDecay(part)[step * 8 + i / 2 * 4 + lane % 4]);
  }

  __device__ __forceinline__ void storeScores(const float (&sum)[2][4], int buffer,
                                              int part) const {
    storeMatrix4(scores(buffer) + panelOffset(warp * 16 + lane % 16, part * 2 + lane / 16),
                 pack<Element>(sum[0][0], sum[0][1]), pack<Element>(sum[0][2], sum[0][3]),
                 pack<Element>(sum[1][0], sum[1][1]), pack<Element>(sum[1][2], sum[1][3]));
  }

  /// What the state needs of every chunk: decayed queries and keys, scores, the chunk's decay.
  __device__ __forceinline__ void transform() const {
    constexpr int kBarrier = 1;
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages, buffer = chunk % V::kScoreBuffers;
      full(stage).wait(chunk / V::kStages & 1);
      int strong = sumGates(stage);
      syncWarpgroup(kBarrier);
      findFactors(chunk, strong);
      float own[2][4] = {};
      if (strong)
        scoreStrong(own, stage, strong);
      FragmentA queries[4 * kKeyPanels];
      decayRows(queries, own, stage);
      // Entries above the diagonal may be large.
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          int i = lane / 4 + e / 2 * 8, j = n * 8 + lane % 4 * 2 + e % 2;
          own[n][e] = j <= i - int(V::kReadsBefore) ? own[n][e] : 0.0f;
        }
      consumed(buffer).wait(~(chunk / V::kScoreBuffers) & 1);
      storeScores(own, buffer, warp);
      syncWarpgroup(kBarrier);
#pragma unroll 1
      for (int part = warp - 1; part >= 0; --part) {
        float earlier[2][4] = {};
        scoreEarlier(earlier, queries, stage, part);
        storeScores(earlier, buffer, part);
        if (part > 0)
          decayQueries(queries, part);
      }
      fenceAsyncProxy();
      this->arriveWarp(scored(buffer));
    }
  }

  /// 64 columns of V through the whole sequence.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4] = {};
    const auto initial = V::template initialState<0>(args, this->sequence, this->head);
    this->eachStateElement(
        state, group, [&](int d, int v, float& s) { s = initial ? toFloat(initial(d, v)) : 0.0f; });
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages, buffer = chunk % V::kScoreBuffers;
      scored(buffer).wait(chunk / V::kScoreBuffers & 1);
      uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(stage));
      uint32 p = sharedAddress(scores(buffer));
      const char* values = value(stage) + group * kPanel;
      float out[8][4] = {};
      // In parts: more than two panels of the rounded state find no room.
#pragma unroll
      for (int first = 0; first < kSteps; first += 8) {
        if (first > 0)
          wgmmaWait<0>();
        FragmentA old[8];
#pragma unroll
        for (int step = first; step < first + 8 && step < kSteps; ++step)
          old[step - first] = F::fromAccumulator(state[step / 4], step % 4);
        wgmmaFence();
#pragma unroll
        for (int step = first; step < first + 8 && step < kSteps; ++step)
          wgmma<Along::contraction>(Element{}, out, old[step - first],
                                    panelDescriptor(q + step / 4 * kPanel + step % 4 * 32));
        wgmmaCommit();
      }
      wgmmaWait<0>();
      FragmentA v[kParts];
#pragma unroll
      for (int step = 0; step < kParts; ++step)
        loadMatrix4Transposed(v[step].r, values + panelOffset(step * 16 + lane % 8 + lane / 16 * 8,
                                                              warp * 2 + lane / 8 % 2));
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < kParts; ++step)
        wgmma<Along::contraction>(Element{}, out, v[step], panelDescriptor(p + step * 32));
      wgmmaCommit();
#pragma unroll
      for (int n = 0; n < V::kK / 8; ++n) {
        float2 f = *reinterpret_cast<const float2*>(chunkDecay(chunk) + n * 8 + lane % 4 * 2);
        float(&s)[4] = state[n / 8][n % 8];
        s[0] *= f.x, s[1] *= f.y, s[2] *= f.x, s[3] *= f.y;
      }
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < kParts; ++step)
#pragma unroll
        for (int panel = 0; panel < kKeyPanels; ++panel)
          wgmma<Along::columns>(Element{}, state[panel], v[step],
                                panelDescriptor(k + panel * kPanel + step * 2 * kPanelGroup));
      wgmmaCommit();
      wgmmaWait<1>();
      this->arriveWarp(consumed(buffer));
      this->writeOutput(out, chunk, stage, group);
      wgmmaWait<0>();
      this->arriveWarp(empty(stage));
    }
    if (auto last = V::template finalState<0>(args, this->sequence, this->head))
      this->eachStateElement(state, group, [&](int d, int v, float& s) {
        last(d, v) = fromFloat<typename V::template State<0>>(s);
      });
  }

  __device__ __forceinline__ void initialise() const {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(kLoaders * 32);
        empty(stage).init(4 * kGroups);
      }
      for (int buffer = 0; buffer < V::kScoreBuffers; ++buffer) {
        scored(buffer).init(4);
        consumed(buffer).init(4 * kGroups);
      }
    }
    // Scores of later sub-chunks stay zero.
    for (int i = threadIdx.x * 16; i < V::kScoreBuffers * kPanel; i += blockDim.x * 16)
      *reinterpret_cast<uint4*>(scores(0) + i) = make_uint4(0, 0, 0, 0);
    fenceAsyncProxy();
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    initialise();
    int role = threadIdx.x / 128;
    if (role == 0) {
      lowerRegisters<V::kLoadRegisters>();
      if (warp == 0)
        this->template copyOperand<V::kK>(V::queryTensor(args), 0, 0);
      else if (warp == 1)
        this->template copyOperand<V::kK>(V::keyTensor(args), 0, kKeyTile);
      else if (warp == 2)
        this->template copyOperand<V::kBlockV>(V::valueTensor(args), this->tile * V::kBlockV,
                                               2 * kKeyTile, V::kV - this->tile * V::kBlockV);
      else
        this->template copyOperand<V::kK>(V::gateTensor(args), 0, V::kGateOffset);
    } else if (role == 1) {
      raiseRegisters<V::kScoreRegisters>();
      transform();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 2);
    }
  }
};
