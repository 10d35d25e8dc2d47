// Chunks whose decay, in a scan with a decay of every channel, spans more than one product of
// scores can hold (scan_sm90_channels.cuh), for gates without bound.
//
// With G the cumulative gates of the chunk in log2 units, every boundary between sub-chunks has
// a reference r that is G there rounded to a whole number. A warp makes a = q 2^{G - r} with the
// reference before the token, and e = k 2^{r - G} with the one behind it. Everything else is one of
// these times powers of two that depend on the channel alone, and so is exact: the queries and keys
// of the state take the place of those that were loaded; e takes that of the gates, where the
// scores of later sub-chunks find it. The state leaves the chunk at its last reference.
//
// In reverse, where the decay comes behind the read, queries have the reference behind the token
// and keys the one before it, and the state comes to the chunk's last reference and leaves it at
// its start.
//
// The exponents are sums of gates, added up by the tensor cores: none is above 1/2 for decays of at
// most 1. Only a sub-chunk's scores by itself go back from one reference to the one before; where
// its range is too wide for that, they are computed in halves (scoreStrong).

template <class V> struct WideChunks : ChannelSums<V> {
  using Base = ChannelSums<V>;
  using Element = typename V::Element;
  using Gate = typename V::Gate;
  using Base::fragmentAddress;
  using Base::gates;
  using Base::kChannels;
  using Base::key;
  using Base::kKeyTile;
  using Base::kPanel;
  using Base::kParts;
  using Base::lane;
  using Base::loadGates;
  using Base::loadRows;
  using Base::panel;
  using Base::partGates;
  using Base::query;
  using Base::shared;
  using Base::storeRows;
  using Base::warp;
  /// Binary orders of magnitude that the decay of a sub-chunk may span for its scores to be one
  /// product: what bf16 and the sums in fp32 hold, with room for queries and keys.
  static constexpr float kWidestPart = 96.0f;

  /// What a warp knows of its 16 tokens of two channels, in packed pairs: G - r before the first,
  /// and how far the reference behind the last is from the one before the first, both in f16; the
  /// powers of two from the chunk's start to the one and from the other to its end (in reverse,
  /// exchanged), and from the other back to the one, this one in bf16.
  struct Factors {
    uint32 first, span, before, after, back;
  };

  __device__ __forceinline__ Factors* factors() const {
    return reinterpret_cast<Factors*>(shared + V::kFactorOffset) + warp * (kChannels / 2);
  }
  /// The power of two between the references of a sub-chunk, of pairs of channels.
  __device__ __forceinline__ uint32* partDecay(int part) const {
    return reinterpret_cast<uint32*>(partGates(kParts)) + part * (kChannels / 2);
  }

  /// The factors of this warp's sub-chunk, from the sums of all; returns G - r of this lane's two
  /// channels at the end of the chunk. Sets which steps are too wide for one product.
  __device__ __forceinline__ float2 findFactors(int chunk, int& strong) const {
    const int pair = panel * 32 + lane;
    float2 sum = make_float2(0.0f, 0.0f), first = sum, last = sum;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      if (part == warp)
        first = sum;
      const float2 own = partGates(part, pair);
      sum.x += own.x, sum.y += own.y;
      if (part == warp)
        last = sum;
    }
    const unsigned tooWide =
        __ballot_sync(~0u, fminf(last.x - first.x, last.y - first.y) < -kWidestPart);
    strong = 0;
#pragma unroll
    for (int step = 0; step < 4; ++step)
      strong |= (tooWide >> step * 8 & 0xff ? 1 : 0) << step;
    const float2 before = make_float2(rintf(first.x), rintf(first.y)),
                 behind = make_float2(rintf(last.x), rintf(last.y)),
                 end = make_float2(rintf(sum.x), rintf(sum.y));
    const uint32 back = pack<bf16>(exp2(before.x - behind.x), exp2(before.y - behind.y));
    const float2 rest = make_float2(end.x - behind.x, end.y - behind.y),
                 toStart = V::kReverse ? rest : before, toEnd = V::kReverse ? before : rest;
    factors()[pair] = {pack<f16>(first.x - before.x, first.y - before.y),
                       pack<f16>(behind.x - before.x, behind.y - before.y),
                       pack<Element>(exp2(toStart.x), exp2(toStart.y)),
                       pack<Element>(exp2(toEnd.x), exp2(toEnd.y)),
                       strong >> lane / 8 & 1 ? 0 : back};
    partDecay(warp)[pair] = pack<Element>(exp2(behind.x - before.x), exp2(behind.y - before.y));
    if (warp == 0)
      *reinterpret_cast<float2*>(this->decayWithin(chunk) + pair * 2) =
          make_float2(exp2(end.x), exp2(end.y));
    __syncwarp();
    return make_float2(sum.x - end.x, sum.y - end.y);
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
          bool inside = size == 0 ? i == j && !V::kReadsBefore
                                  : (i ^ j) / size == 1 && (V::kReverse ? j : i) & size;
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
    const Factors* own = factors() + panel * 32 + lane % 4;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint32 address = fragmentAddress(stage, step);
      const Factors* of = own + step * 8;
      const FragmentB gate = loadGates(stage, step);
      float sums[2][4] = {};
      mma16<Gate>(sums[0], sums[1], upTo, gate);
      FragmentA x = loadRows(address + kKeyTile), a, e, back;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Factors& f = of[i / 2 * 4];
        float* sum = sums[i / 2] + i % 2 * 2;
        const float2 first = unpack<f16>(f.first), span = unpack<f16>(f.span);
        sum[0] = sum[0] * kLog2E + first.x, sum[1] = sum[1] * kLog2E + first.y;
        float2 k = unpack<Element>(x.r[i]);
        k.x *= exp2(V::kReverse ? sum[0] : span.x - sum[0]);
        k.y *= exp2(V::kReverse ? sum[1] : span.y - sum[1]);
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
        const Factors& f = of[i / 2 * 4];
        float* sum = sums[i / 2] + i % 2 * 2;
        if constexpr (V::kReadsBefore) {
          const float2 first = unpack<f16>(f.first);
          sum[0] = sum[0] * kLog2E + first.x, sum[1] = sum[1] * kLog2E + first.y;
        }
        float2 q = unpack<Element>(x.r[i]);
        const float2 span = unpack<f16>(f.span);
        q.x *= exp2(V::kReverse ? span.x - sum[0] : sum[0]);
        q.y *= exp2(V::kReverse ? span.y - sum[1] : sum[1]);
        const uint32 query = pack<Element>(q.x, q.y);
        queries[step].r[i] = query;
        a.r[i] = pack<bf16>(q.x, q.y);
        x.r[i] = multiplyPacked<Element>(query, f.before);
      }
      storeMatrix4(address, x.r[0], x.r[1], x.r[2], x.r[3]);
      mma16<bf16>(scores[0], scores[1], a, asColumns(back));
    }
  }

  /// The scores of this warp's sub-chunk by another one, `part`, that the walk came to before.
  __device__ __forceinline__ void scoreEarlier(float (&scores)[2][4], const FragmentA (&queries)[4],
                                               int stage, int part) const {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
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
    storeMatrix4(this->scores(panel) + panelOffset(warp * 16 + lane % 16, part * 2 + lane / 16),
                 pack<Element>(sum[0][0], sum[0][1]), pack<Element>(sum[0][2], sum[0][3]),
                 pack<Element>(sum[1][0], sum[1][1]), pack<Element>(sum[1][2], sum[1][3]));
  }

  /// What the state needs of a wide chunk, whose gates are summed; returns G - r at its end.
  __device__ __forceinline__ float2 decayWide(int chunk, int stage) const {
    int strong;
    const float2 excess = findFactors(chunk, strong);
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
        const bool seen = V::kReverse ? j >= i : j <= i - int(V::kReadsBefore);
        own[n][e] = seen ? own[n][e] : 0.0f;
      }
    this->consumed().wait(~chunk & 1);
    storeScores(own, warp);
    this->meet();
#pragma unroll 1
    for (int left = V::kReverse ? kParts - 1 - warp : warp, part = warp; left > 0; --left) {
      part += V::kReverse ? 1 : -1;
      float earlier[2][4] = {};
      scoreEarlier(earlier, queries, stage, part);
      storeScores(earlier, part);
      if (left > 1)
        decayQueries(queries, part);
    }
    const float nothing[2][4] = {};
    for (int part = V::kReverse ? 0 : warp + 1; part < (V::kReverse ? warp : kParts); ++part)
      storeScores(nothing, part);
    return excess;
  }
};
