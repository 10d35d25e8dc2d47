// Forward of a scan with a decay of every key channel, for sm_90a: the form of scan_sm90.cuh in
// chunks of 64 tokens. In the place of warpgroup 1 there is one for each panel of 64 channels; each
// of its warps has a sub-chunk of 16 tokens. What belongs to a channel stays within its warpgroup,
// and the scores of each are a matrix of their own, which the state's warpgroups add up.
//
// With G the cumulative gates of the sequence in log2 units, every boundary between sub-chunks has
// a reference r that is G there rounded to a whole number. A warp makes a = q 2^{G - r} with
// the reference before the token, and e = k 2^{r - G} with the one behind it. Everything else is
// one of these times powers of two that depend on the channel alone, and so is exact: the queries
// and keys of the state take the place of those that were loaded; e takes that of the gates, where
// the scores of later sub-chunks find it. The state stands at the reference, too.
//
// The exponents are sums of gates, added up by the tensor cores: none is above 1/2 for decays of at
// most 1. Only a sub-chunk's scores by itself go back from one reference to the one before; where
// its range is too wide for that, they are computed in halves (scoreStrong).

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
  const int panel = int(threadIdx.x) / 128 - 1;  ///< Of a warpgroup that decays.
  const int steps = V::kK % kPanelColumns ? min(4, kSteps - panel * 4) : 4;  ///< Of its channels.
  /// Binary orders of magnitude that the decay of a sub-chunk may span for its scores to be one
  /// product: what bf16 and the sums in fp32 hold, with room for queries and keys.
  static constexpr float kWidest = 96.0f;
  /// What is less decays all to nothing; spans stay within the whole numbers of f16.
  static constexpr float kLeastGate = -88.0f;

  /// What a warp knows of its 16 tokens of two channels, in packed pairs: G - r before the first,
  /// and how far the reference behind the last is from the one before the first, both in f16; the
  /// powers of two from the chunk's start to the one, from the other to its end, and from the other
  /// back to the one, this one in bf16.
  struct ChannelFactors {
    uint32 first, span, before, after, back;
  };

  __device__ __forceinline__ char* gates(int stage) const { return query(stage) + V::kGateOffset; }
  __device__ __forceinline__ char* scores(int panel) const {
    return shared + V::kScoreOffset + panel * kPanel;
  }
  __device__ __forceinline__ Barrier scored() const { return Base::barrier(2 * V::kStages); }
  __device__ __forceinline__ Barrier consumed() const { return Base::barrier(2 * V::kStages + 1); }
  /// By what the state of each channel shrinks over a chunk. Scores are written when those of the
  /// chunk before are used up, so the other room is free by the next chunk.
  __device__ __forceinline__ float* chunkDecay(int chunk) const {
    return reinterpret_cast<float*>(shared + V::kDecayOffset) + chunk % 2 * V::kK;
  }
  /// G - r of each channel at the end of the sequence.
  __device__ __forceinline__ float* excess() const {
    return reinterpret_cast<float*>(shared + V::kDecayOffset) + 2 * V::kK;
  }
  /// The sum of the gates of each channel over a sub-chunk, in log2 units, and the power of two
  /// between its references, of pairs of channels.
  __device__ __forceinline__ float* partGates(int part) const {
    return reinterpret_cast<float*>(shared + V::kPartOffset) + part * V::kK;
  }
  __device__ __forceinline__ uint32* partDecay(int part) const {
    return reinterpret_cast<uint32*>(shared + V::kPartOffset) + kParts * V::kK + part * (V::kK / 2);
  }
  __device__ __forceinline__ ChannelFactors* factors() const {
    return reinterpret_cast<ChannelFactors*>(shared + V::kFactorOffset) + warp * (V::kK / 2);
  }
  /// The warps of a panel.
  __device__ __forceinline__ void meet() const { syncWarpgroup(1 + panel); }

  /// Where a lane's row of a fragment of 16 x 16 of this warp's sub-chunk and panel lies in a
  /// stage's queries, for ldmatrix and stmatrix.
  __device__ __forceinline__ uint32 fragmentAddress(int stage, int step) const {
    return (sharedAddress(query(stage) + panel * kPanel) +
            panelOffset(warp * 16 + lane % 16, lane / 16)) ^
           step * 32;
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
  /// Rows as the columns of a B operand.
  static __device__ __forceinline__ FragmentB asColumns(const FragmentA& a) {
    return {{a.r[0], a.r[2], a.r[1], a.r[3]}};
  }

  /// The gates of this warp's sub-chunk, summed for each channel; returns which steps are too wide.
  __device__ __forceinline__ int sumGates(int stage) const {
    const FragmentA all = onesWhere<Gate>(lane, [](int, int) { return true; });
    int strong = 0;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (step >= steps)
        break;
      float sum[2][4] = {};
      mma16<Gate>(sum[0], sum[1], all, loadGates(stage, step));
      float least = 0.0f;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float2 total = make_float2(sum[half][0] * kLog2E, sum[half][1] * kLog2E);
        least = fminf(least, fminf(total.x, total.y));
        if (lane < 4)
          *reinterpret_cast<float2*>(partGates(warp) + panel * kPanelColumns + step * 16 +
                                     half * 8 + lane * 2) = total;
      }
      strong |= __any_sync(~0u, least < -kWidest) << step;
    }
    return strong;
  }

  /// The factors of this warp's sub-chunk, from the sums of all. `excess` is G - r of this lane's
  /// two channels at the start of the chunk, and becomes that at its end.
  __device__ __forceinline__ void findFactors(float2& excess, int chunk, int strong) const {
    const int pair = panel * 32 + lane;
    if (lane < steps * 8) {
      float2 sum = excess, first, last;
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        if (part == warp)
          first = sum;
        float2 own = *reinterpret_cast<const float2*>(partGates(part) + pair * 2);
        sum.x += own.x, sum.y += own.y;
        if (part == warp)
          last = sum;
      }
      const float2 before = make_float2(rintf(first.x), rintf(first.y)),
                   behind = make_float2(rintf(last.x), rintf(last.y)),
                   end = make_float2(rintf(sum.x), rintf(sum.y));
      const bool wide = strong >> lane / 8 & 1;
      factors()[pair] = {pack<f16>(first.x - before.x, first.y - before.y),
                         pack<f16>(behind.x - before.x, behind.y - before.y),
                         pack<Element>(exp2(before.x), exp2(before.y)),
                         pack<Element>(exp2(end.x - behind.x), exp2(end.y - behind.y)),
                         wide ? 0
                              : pack<bf16>(exp2(before.x - behind.x), exp2(before.y - behind.y))};
      partDecay(warp)[pair] = pack<Element>(exp2(behind.x - before.x), exp2(behind.y - before.y));
      if (warp == 0)
        *reinterpret_cast<float2*>(chunkDecay(chunk) + pair * 2) =
            make_float2(exp2(end.x), exp2(end.y));
      excess = make_float2(sum.x - end.x, sum.y - end.y);
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
      for (int step = 0; step < 4; ++step) {
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
  __device__ __forceinline__ void decayRows(FragmentA (&queries)[4], float (&scores)[2][4],
                                            int stage) const {
    const FragmentA upTo = onesWhere<Gate>(lane, [](int row, int column) { return column <= row; });
    const FragmentA before =
        onesWhere<Gate>(lane, [](int row, int column) { return column < row; });
    const ChannelFactors* own = factors() + panel * 32 + lane % 4;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (step >= steps)
        break;
      const uint32 address = fragmentAddress(stage, step);
      const ChannelFactors* of = own + step * 8;
      const FragmentB gate = loadGates(stage, step);
      float sums[2][4] = {};
      mma16<Gate>(sums[0], sums[1], upTo, gate);
      FragmentA x = loadRows(address + kKeyTile), a, e, back;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const ChannelFactors& f = of[i / 2 * 4];
        float* sum = sums[i / 2] + i % 2 * 2;
        const float2 first = unpack<f16>(f.first), span = unpack<f16>(f.span);
        sum[0] = sum[0] * kLog2E + first.x, sum[1] = sum[1] * kLog2E + first.y;
        float2 k = unpack<Element>(x.r[i]);
        k.x *= exp2(span.x - sum[0]), k.y *= exp2(span.y - sum[1]);
        e.r[i] = pack<Element>(k.x, k.y);
        back.r[i] = multiplyPacked<bf16>(pack<bf16>(k.x, k.y), f.back);
        x.r[i] = multiplyPacked<Element>(e.r[i], f.after);
      }
      storeMatrix4(address + kKeyTile, x.r[0], x.r[1], x.r[2], x.r[3]);
      storeMatrix4(address + V::kGateOffset, e.r[0], e.r[1], e.r[2], e.r[3]);
      if constexpr (V::kReadsBefore) {
#pragma unroll
        for (int i = 0; i < 8; ++i)
          sums[i / 4][i % 4] = 0.0f;
        mma16<Gate>(sums[0], sums[1], before, gate);
      }
      x = loadRows(address);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const ChannelFactors& f = of[i / 2 * 4];
        float* sum = sums[i / 2] + i % 2 * 2;
        if constexpr (V::kReadsBefore) {
          const float2 first = unpack<f16>(f.first);
          sum[0] = sum[0] * kLog2E + first.x, sum[1] = sum[1] * kLog2E + first.y;
        }
        float2 q = unpack<Element>(x.r[i]);
        q.x *= exp2(sum[0]), q.y *= exp2(sum[1]);
        const uint32 query = pack<Element>(q.x, q.y);
        queries[step].r[i] = query;
        a.r[i] = pack<bf16>(q.x, q.y);
        x.r[i] = multiplyPacked<Element>(query, f.before);
      }
      storeMatrix4(address, x.r[0], x.r[1], x.r[2], x.r[3]);
      mma16<bf16>(scores[0], scores[1], a, asColumns(back));
    }
  }

  /// The scores of this warp's sub-chunk by the earlier sub-chunk `part`.
  __device__ __forceinline__ void scoreEarlier(float (&scores)[2][4], const FragmentA (&queries)[4],
                                               int stage, int part) const {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (step >= steps)
        break;
      FragmentB e;
      loadMatrix4(e.r,
                  gates(stage) + panel * kPanel +
                      panelOffset(part * 16 + lane % 8 + lane / 16 * 8, step * 2 + lane / 8 % 2));
      mma16<Element>(scores[0], scores[1], queries[step], e);
    }
  }

  /// The queries once more decayed by the sub-chunk `part`.
  __device__ __forceinline__ void decayQueries(FragmentA (&queries)[4], int part) const {
#pragma unroll
    for (int step = 0; step < 4; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        queries[step].r[i] = multiplyPacked<Element>(
            queries[step].r[i], partDecay(part)[panel * 32 + step * 8 + i / 2 * 4 + lane % 4]);
  }

  __device__ __forceinline__ void storeScores(const float (&sum)[2][4], int part) const {
    storeMatrix4(scores(panel) + panelOffset(warp * 16 + lane % 16, part * 2 + lane / 16),
                 pack<Element>(sum[0][0], sum[0][1]), pack<Element>(sum[0][2], sum[0][3]),
                 pack<Element>(sum[1][0], sum[1][1]), pack<Element>(sum[1][2], sum[1][3]));
  }

  /// What the state needs of every chunk: decayed queries and keys, scores, the chunk's decay.
  __device__ __forceinline__ void transform() const {
    float2 excess = make_float2(0.0f, 0.0f);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages;
      full(stage).wait(chunk / V::kStages & 1);
      int strong = sumGates(stage);
      meet();
      findFactors(excess, chunk, strong);
      float own[2][4] = {};
      if (strong)
        scoreStrong(own, stage, strong);
      FragmentA queries[4];
      decayRows(queries, own, stage);
      // Entries above the diagonal may be large.
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          int i = lane / 4 + e / 2 * 8, j = n * 8 + lane % 4 * 2 + e % 2;
          own[n][e] = j <= i - int(V::kReadsBefore) ? own[n][e] : 0.0f;
        }
      consumed().wait(~chunk & 1);
      storeScores(own, warp);
      meet();
#pragma unroll 1
      for (int part = warp - 1; part >= 0; --part) {
        float earlier[2][4] = {};
        scoreEarlier(earlier, queries, stage, part);
        storeScores(earlier, part);
        if (part > 0)
          decayQueries(queries, part);
      }
      if (chunk + 1 == chunks && warp == 0 && lane < steps * 8)
        *reinterpret_cast<float2*>(this->excess() + (panel * 32 + lane) * 2) = excess;
      fenceAsyncProxy();
      this->arriveWarp(scored());
    }
  }

  /// Eight channels at a time, which the others make room for: all addresses at once would take
  /// more registers than the walk through the sequence.
  __device__ __forceinline__ void loadState(float (&state)[kKeyPanels][8][4], int group) const {
    const auto initial = V::template initialState<0>(args, this->sequence, this->head);
    if (!initial)
      return;
    const int column = this->tile * V::kBlockV + group * kPanelColumns + warp * 16 + lane / 4;
    constexpr int kPieces = kKeyPanels * 8;
#pragma unroll 1
    for (int piece = 0; piece < kPieces; ++piece) {
#pragma unroll
      for (int i = 0; i + 1 < kPieces; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          state[i / 8][i % 8][e] = state[(i + 1) / 8][(i + 1) % 8][e];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int d = piece * 8 + lane % 4 * 2 + e % 2, v = column + e / 2 * 8;
        state[kKeyPanels - 1][7][e] = d < V::kK && v < V::kV ? toFloat(initial(d, v)) : 0.0f;
      }
    }
  }

  /// 64 columns of V through the whole sequence.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4] = {};
    loadState(state, group);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      int stage = chunk % V::kStages;
      scored().wait(chunk & 1);
      uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(stage));
      uint32 p = sharedAddress(scores(0));
      uint32 v = sharedAddress(value(stage) + group * kPanel);
      constexpr int kAtOnce = 4;
      float out[8][4] = {};
      // In parts: more than two panels of the rounded state find no room.
#pragma unroll
      for (int first = 0; first < kSteps; first += kAtOnce) {
        if (first > 0)
          wgmmaWait<0>();
        FragmentA old[kAtOnce];
#pragma unroll
        for (int step = first; step < first + kAtOnce && step < kSteps; ++step)
          old[step - first] = F::fromAccumulator(state[step / 4], step % 4);
        wgmmaFence();
#pragma unroll
        for (int step = first; step < first + kAtOnce && step < kSteps; ++step)
          wgmma<Along::contraction>(Element{}, out, old[step - first],
                                    panelDescriptor(q + step / 4 * kPanel + step % 4 * 32));
        wgmmaCommit();
      }
      wgmmaWait<0>();
#pragma unroll
      for (int n = 0; n < V::kK / 8; ++n) {
        float2 f = *reinterpret_cast<const float2*>(chunkDecay(chunk) + n * 8 + lane % 4 * 2);
        float(&s)[4] = state[n / 8][n % 8];
        s[0] *= f.x, s[1] *= f.y, s[2] *= f.x, s[3] *= f.y;
      }
      wgmmaFence();
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
#pragma unroll
        for (int step = 0; step < kParts; ++step)
          wgmmaTransposed<Along::contraction>(Element{}, out,
                                              panelDescriptor(v + step * 2 * kPanelGroup),
                                              panelDescriptor(p + panel * kPanel + step * 32));
      wgmmaCommit();
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < kParts; ++step)
#pragma unroll
        for (int panel = 0; panel < kKeyPanels; ++panel)
          wgmmaTransposed<Along::columns>(
              Element{}, state[panel], panelDescriptor(v + step * 2 * kPanelGroup),
              panelDescriptor(k + panel * kPanel + step * 2 * kPanelGroup));
      wgmmaCommit();
      wgmmaWait<1>();
      this->arriveWarp(consumed());
      this->writeOutput(out, chunk, stage, group);
      wgmmaWait<0>();
      this->arriveWarp(empty(stage));
    }
    if (auto last = V::template finalState<0>(args, this->sequence, this->head))
      this->eachStateElement(state, group, [&](int d, int v, float& s) {
        last(d, v) = fromFloat<typename V::template State<0>>(s * exp2(excess()[d]));
      });
  }

  __device__ __forceinline__ void initialise() const {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(kLoaders * 32);
        empty(stage).init(4 * kGroups);
      }
      scored().init(4 * kKeyPanels);
      consumed().init(4 * kGroups);
    }
    for (int d = threadIdx.x; d < V::kK; d += blockDim.x)
      excess()[d] = 0.0f;
    // Scores of later sub-chunks stay zero.
    for (int i = threadIdx.x * 16; i < kKeyPanels * kPanel; i += blockDim.x * 16)
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
    } else if (role <= kKeyPanels) {
      lowerRegisters<V::kScoreRegisters>();
      transform();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 1 - kKeyPanels);
    }
  }
};
