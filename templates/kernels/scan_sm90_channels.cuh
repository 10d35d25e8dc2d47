// Forward of a scan with a decay of every key channel, for sm_90a: the form of scan_sm90.cuh in
// chunks of 64 tokens, with kTransformers warpgroups in turns in the place of warpgroup 1, each of
// whose warps has a sub-chunk of 16 tokens.
//
// With G the cumulative gates of the sequence in log2 units, every boundary between sub-chunks has
// a reference r that is G there rounded to a whole number. A transformer makes a = q 2^{G - r} with
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
  const int transformer = int(threadIdx.x) / 128 - 1;
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
  __device__ __forceinline__ char* scores(int buffer) const {
    return shared + V::kScoreOffset + buffer * kPanel;
  }
  __device__ __forceinline__ Barrier scored(int buffer) const {
    return Base::barrier(2 * V::kStages + buffer);
  }
  __device__ __forceinline__ Barrier consumed(int buffer) const {
    return Base::barrier(2 * V::kStages + V::kScoreBuffers + buffer);
  }
  /// By what the state of each channel shrinks over a chunk. A transformer begins a chunk when all
  /// chunks before its last one are used up.
  __device__ __forceinline__ float* chunkDecay(int chunk) const {
    return reinterpret_cast<float*>(shared + V::kDecayOffset) +
           chunk % (V::kTransformers + 1) * V::kK;
  }
  /// G - r of each channel at the start of a chunk.
  __device__ __forceinline__ float* carry(int chunk) const {
    return reinterpret_cast<float*>(shared + V::kCarryOffset) + chunk % 2 * V::kK;
  }
  /// A chunk's carry is used and that of the next is there.
  __device__ __forceinline__ Barrier carried() const {
    return Base::barrier(2 * V::kStages + 2 * V::kScoreBuffers);
  }
  /// The sum of the gates of each channel over a sub-chunk, in log2 units, and the power of two
  /// between its references, of pairs of channels.
  __device__ __forceinline__ float* partGates(int part) const {
    return reinterpret_cast<float*>(shared + V::kPartOffset) +
           (transformer * kParts + part) * V::kK;
  }
  __device__ __forceinline__ uint32* partDecay(int part) const {
    return reinterpret_cast<uint32*>(shared + V::kPartOffset) +
           (V::kTransformers * 2 + transformer) * kParts * (V::kK / 2) + part * (V::kK / 2);
  }
  __device__ __forceinline__ ChannelFactors* factors() const {
    return reinterpret_cast<ChannelFactors*>(shared + V::kFactorOffset) +
           (transformer * kParts + warp) * (V::kK / 2);
  }
  __device__ __forceinline__ void meetTransformer() const { syncWarpgroup(1 + transformer); }

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
  /// Rows as the columns of a B operand.
  static __device__ __forceinline__ FragmentB asColumns(const FragmentA& a) {
    return {{a.r[0], a.r[2], a.r[1], a.r[3]}};
  }

  /// The gates of this warp's sub-chunk, summed for each channel; returns which steps are too wide.
  __device__ __forceinline__ int sumGates(int stage) const {
    const FragmentA all = onesWhere<Gate>(lane, [](int, int) { return true; });
    int strong = 0;
#pragma unroll 2
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
    carried().wait(~chunk & 1);
#pragma unroll
    for (int pair = lane; pair < V::kK / 2; pair += 32) {
      float2 sum = *reinterpret_cast<const float2*>(carry(chunk) + pair * 2), first, last;
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
      const bool wide = strong >> pair / 8 & 1;
      factors()[pair] = {pack<f16>(first.x - before.x, first.y - before.y),
                         pack<f16>(behind.x - before.x, behind.y - before.y),
                         pack<Element>(exp2(before.x), exp2(before.y)),
                         pack<Element>(exp2(end.x - behind.x), exp2(end.y - behind.y)),
                         wide ? 0
                              : pack<bf16>(exp2(before.x - behind.x), exp2(before.y - behind.y))};
      partDecay(warp)[pair] = pack<Element>(exp2(behind.x - before.x), exp2(behind.y - before.y));
      if (warp == 0) {
        *reinterpret_cast<float2*>(chunkDecay(chunk) + pair * 2) =
            make_float2(exp2(end.x), exp2(end.y));
        *reinterpret_cast<float2*>(carry(chunk + 1) + pair * 2) =
            make_float2(sum.x - end.x, sum.y - end.y);
      }
    }
    this->arriveWarp(carried());
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
  __device__ __forceinline__ void decayRows(FragmentA (&queries)[kSteps + kSteps % 2],
                                            float (&scores)[2][4], int stage) const {
    const FragmentA upTo = onesWhere<Gate>(lane, [](int row, int column) { return column <= row; });
    const FragmentA before =
        onesWhere<Gate>(lane, [](int row, int column) { return column < row; });
    const ChannelFactors* own = factors() + lane % 4;
    // A few steps of code at a time, so that they find registers.
    constexpr int kAtOnce = 2, kKept = (kSteps + 1) / 2 * 2;
#pragma unroll 1
    for (int firstStep = 0; firstStep < kSteps; firstStep += kAtOnce) {
#pragma unroll
      for (int i = 0; i < kKept - kAtOnce; ++i)
        queries[i] = queries[i + kAtOnce];
#pragma unroll
      for (int within = 0; within < kAtOnce; ++within) {
        const int step = firstStep + within;
        if (kSteps % kAtOnce != 0 && step >= kSteps)
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
          queries[kKept - kAtOnce + within].r[i] = query;
          a.r[i] = pack<bf16>(q.x, q.y);
          x.r[i] = multiplyPacked<Element>(query, f.before);
        }
        storeMatrix4(address, x.r[0], x.r[1], x.r[2], x.r[3]);
        mma16<bf16>(scores[0], scores[1], a, asColumns(back));
      }
    }
  }

  /// The scores of this warp's sub-chunk by the earlier sub-chunk `part`.
  __device__ __forceinline__ void scoreEarlier(float (&scores)[2][4],
                                               const FragmentA (&queries)[kSteps + kSteps % 2],
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
  __device__ __forceinline__ void decayQueries(FragmentA (&queries)[kSteps + kSteps % 2],
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

  /// What the state needs of a chunk: decayed queries and keys, scores, the chunk's decay.
  __device__ __forceinline__ void transformChunk(int chunk) const {
    int stage = chunk % V::kStages, buffer = chunk % V::kScoreBuffers;
    full(stage).wait(chunk / V::kStages & 1);
    int strong = sumGates(stage);
    meetTransformer();
    findFactors(chunk, strong);
    float own[2][4] = {};
    if (strong)
      scoreStrong(own, stage, strong);
    FragmentA queries[kSteps + kSteps % 2];
    decayRows(queries, own, stage);
    // Entries above the diagonal may be large.
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int i = lane / 4 + e / 2 * 8, j = n * 8 + lane % 4 * 2 + e % 2;
        own[n][e] = j <= i - int(V::kReadsBefore) ? own[n][e] : 0.0f;
      }
    // The other transformer's scores come between.
    scored(buffer).wait(~(chunk / V::kScoreBuffers) & 1);
    consumed(buffer).wait(~(chunk / V::kScoreBuffers) & 1);
    storeScores(own, buffer, warp);
    meetTransformer();
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

  __device__ __forceinline__ void transform() const {
#pragma unroll 1
    for (int chunk = transformer; chunk < chunks; chunk += V::kTransformers) {
      // Addresses that are the same for every chunk would take the registers of what is not.
      int zero;
      asm volatile("mov.u32 %0, 0;" : "=r"(zero));
      HopperChannelScan{args, shared + zero}.transformChunk(chunk);
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
      constexpr int kAtOnce = V::kK > 128 || kGroups == 1 ? 8 : 4;
      float out[8][4] = {};
      // In parts: all of the rounded state finds no room.
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
        last(d, v) = fromFloat<typename V::template State<0>>(s * exp2(carry(chunks)[d]));
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
      carried().init(kParts);
    }
    for (int d = threadIdx.x; d < V::kK; d += blockDim.x)
      carry(0)[d] = 0.0f;
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
    } else if (role <= V::kTransformers) {
      lowerRegisters<V::kScoreRegisters>();
      transform();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 1 - V::kTransformers);
    }
  }
};
