// Forward of a scan with a decay of every key channel, for sm_90a: the form of scan_sm90.cuh in
// chunks of 64 tokens. In the place of warpgroup 1 there is one for each panel of 64 channels; each
// of its warps has a sub-chunk of 16 tokens. What belongs to a channel stays within its warpgroup,
// and the scores of each are a matrix of their own, which the state's warpgroups add up.
//
// With G the cumulative gates in log2 units and r that of the middle of the chunk, queries become
// a = q 2^{G - r} and keys e = k 2^{r - G}, in the places of those that were loaded. The scores are
// a e^T, and with the state at the reference r, O^T = S^T a^T + V^T P^T and S^T <- S^T + V^T e: the
// state shrinks once a chunk, by the decay between the middles. The exponents are sums of gates,
// added up by the tensor cores. In reverse, where the decay comes behind the read, all exponents
// are the negatives of these. Where they leave the range of a product, the chunk is a wide one
// (scan_sm90_wide.cuh).

/// Binary orders of magnitude that the decay of a sub-chunk may span in a chunk that is not wide;
/// two sub-chunks lie between the middle and an end.
template <class T> constexpr float widestPart = 48.0f;
template <> constexpr float widestPart<f16> = 6.0f;

template <class V> struct HopperChannelScan : ChannelSweep<V> {
  using Base = ChannelSweep<V>;
  using Element = typename V::Element;
  using Gate = typename V::Gate;
  using F = Fragments<Element>;
  using Base::args;
  using Base::consumed;
  using Base::empty;
  using Base::fragmentAddress;
  using Base::full;
  using Base::kChannels;
  using Base::key;
  using Base::kGroups;
  using Base::kKeyPanels;
  using Base::kKeyTile;
  using Base::kPanel;
  using Base::kParts;
  using Base::lane;
  using Base::loadGates;
  using Base::loadRows;
  using Base::panel;
  using Base::partGates;
  using Base::query;
  using Base::scored;
  using Base::scores;
  using Base::segment;
  using Base::storeRows;
  using Base::value;
  using Base::warp;
  using typename Base::States;
  static constexpr int kThreads = 128 * (1 + kKeyPanels + kGroups);
  static constexpr int kSteps = V::kK / 16;  ///< Of 16 channels.
  const bool later = warp >= kParts / 2;     ///< Than the middle of the chunk.

  /// Which gates of this warp's sub-chunk lie between each token and the middle of the chunk, with
  /// that of a later token itself, or that of an earlier one.
  __device__ __forceinline__ FragmentA toMiddle(bool ofLater) const {
    return onesWhere<Gate>(lane, [&](int row, int column) {
      return later ? column < row + int(ofLater) : column > row - int(!ofLater);
    });
  }

  /// Decays the queries and keys of this warp's sub-chunk, and keeps the queries.
  __device__ __forceinline__ void decayTiles(FragmentA (&queries)[4], float (&sums)[4][2][4],
                                             int stage) const {
    const float unit = later == V::kReverse ? -1.0f : 1.0f, sign = unit * kLog2E;
    const bool outer = warp == 0 || warp == kParts - 1;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint32 address = fragmentAddress(stage, step);
      float2 inner[2] = {};
      if (outer) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          inner[half] = partGates(later ? 2 : 1, panel * 32 + step * 8 + half * 4 + lane % 4);
          inner[half].x *= unit, inner[half].y *= unit;
        }
      }
      FragmentA k = loadRows(address + kKeyTile), q = loadRows(address);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float* sum = sums[step][i / 2] + i % 2 * 2;
        sum[0] = sum[0] * sign + inner[i / 2].x, sum[1] = sum[1] * sign + inner[i / 2].y;
        float2 x = unpack<Element>(k.r[i]);
        k.r[i] = pack<Element>(x.x * exp2(-sum[0]), x.y * exp2(-sum[1]));
      }
      if constexpr (V::kReadsBefore) {
#pragma unroll
        for (int i = 0; i < 8; ++i)
          sums[step][i / 4][i % 4] = 0.0f;
        mma16<Gate>(sums[step][0], sums[step][1], toMiddle(false), loadGates(stage, step));
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float* sum = sums[step][i / 2] + i % 2 * 2;
        if constexpr (V::kReadsBefore)
          sum[0] = sum[0] * sign + inner[i / 2].x, sum[1] = sum[1] * sign + inner[i / 2].y;
        float2 x = unpack<Element>(q.r[i]);
        queries[step].r[i] = pack<Element>(x.x * exp2(sum[0]), x.y * exp2(sum[1]));
      }
      storeRows(address + kKeyTile, k);
      storeRows(address, queries[step]);
    }
  }

  /// P = a e^T of this warp's queries, zero for keys that the walk has yet to come to.
  __device__ __forceinline__ void scoreChunk(const FragmentA (&queries)[4], int chunk,
                                             int stage) const {
    const uint32 e = sharedAddress(key(stage) + panel * kPanel);
    float sum[8][4] = {};
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < 4; ++step)
      wgmma<Along::contraction>(Element{}, sum, queries[step], panelDescriptor(e + step * 32), 1);
    wgmmaCommit();
    consumed().wait(~chunk & 1);
    wgmmaWait<0>();
    const int row = warp * 16 + lane / 4 - int(V::kReadsBefore);
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (const int j = n * 8 + lane % 4 * 2 + i % 2, own = row + i / 2 * 8;
            V::kReverse ? j < own : j > own)
          sum[n][i] = 0.0f;
#pragma unroll
    for (int n = 0; n < 8; n += 2)
      storeMatrix4(scores(panel) + panelOffset(warp * 16 + lane % 16, n + lane / 16),
                   pack<Element>(sum[n][0], sum[n][1]), pack<Element>(sum[n][2], sum[n][3]),
                   pack<Element>(sum[n + 1][0], sum[n + 1][1]),
                   pack<Element>(sum[n + 1][2], sum[n + 1][3]));
  }

  /// How the state shrinks from its reference to that of the chunk, and the gates from there to the
  /// end of the chunk; `excess` where the chunk is wide, in reverse before the state is read. By
  /// one warp of the panel.
  __device__ __forceinline__ void joinChunk(int chunk, bool wide, float2 excess) const {
    if (lane == 0)
      this->wide(chunk, panel) = wide;
    const int pair = panel * 32 + lane;
    float2& behind = *reinterpret_cast<float2*>(this->behind() + pair * 2);
    float2 before = behind;
    if (wide && V::kReverse) {
      before.x += excess.x, before.y += excess.y;
      excess = make_float2(0.0f, 0.0f);
    } else if (!wide) {
      constexpr int kFirst = V::kReverse ? 2 : 0;
      const float2 first = partGates(kFirst, pair), second = partGates(kFirst + 1, pair),
                   third = partGates(2 - kFirst, pair), fourth = partGates(3 - kFirst, pair);
      before.x += first.x + second.x, before.y += first.y + second.y;
      excess = make_float2(third.x + fourth.x, third.y + fourth.y);
    }
    *reinterpret_cast<float2*>(this->decayBefore(chunk) + pair * 2) =
        make_float2(exp2(before.x), exp2(before.y));
    behind = excess;
  }

  /// What the state needs of every chunk of the walk: decayed queries and keys, scores, decays.
  __device__ __forceinline__ void transform() const {
    typename Base::TokenScalars scalars;
    this->startScalars(scalars);
    this->sweepTiles(scalars);
#pragma unroll 1
    for (int walked = 0; walked < segment.chunks; ++walked) {
      int round = segment.swept + walked, stage = round % V::kStages;
      full(stage).wait(round / V::kStages & 1);
      if constexpr (V::kRowProgram || V::kTokenScalars)
        this->mapTiles(scalars, round, stage);
      float sums[4][2][4];
      const float least = this->sumGates(sums, toMiddle(true), stage);
      if (anyOfWarpgroup(1 + panel, least < -widestPart<Element>)) {
        const float2 excess = this->decayWide(walked, stage);
        if (warp == 0)
          joinChunk(walked, true, excess);
        if constexpr (V::kNormaliser) {
          this->sumKeys(stage);
          this->meet();
          this->readNormaliser(walked, stage, true);
        }
      } else {
        if (warp == 0)
          joinChunk(walked, false, {});
        FragmentA queries[4];
        decayTiles(queries, sums, stage);
        fenceAsyncProxy();
        if constexpr (V::kNormaliser)
          this->sumKeys(stage);
        this->meet();
        scoreChunk(queries, walked, stage);
        if constexpr (V::kNormaliser)
          this->readNormaliser(walked, stage, false);
      }
      fenceAsyncProxy();
      this->arriveWarp(scored());
    }
    if (!segment.last() || warp > 0)
      return;
    if constexpr (V::kNormaliser) {
      if (segment.count > 1)
        this->states(0).awaitOthers();
      this->storeNormaliser(segment.chunks);
    }
    if (segment.count > 1)
      this->states(0).close();
  }

  /// Eight channels at a time, which the others make room for: all addresses at once would take
  /// more registers than the walk through the sequence.
  __device__ __forceinline__ void loadState(float (&state)[kKeyPanels][8][4], int group) const {
    const auto initial = V::template initialState<0>(args, this->sequence, this->head);
    if (!initial && segment.swept == 0)
      return;  // It is zero.
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
        state[kKeyPanels - 1][7][e] =
            initial && d < V::kK && v < V::kV ? toFloat(initial(d, v)) : 0.0f;
      }
    }
  }

  /// The state of the panels from `first` to `end` times a decay for each channel.
  __device__ __forceinline__ void decayState(float (&state)[kKeyPanels][8][4], const float* decay,
                                             int first, int end) const {
#pragma unroll
    for (int n = first * 8; n < end * 8; ++n) {
      const float2 f = *reinterpret_cast<const float2*>(decay + n * 8 + lane % 4 * 2);
      float(&s)[4] = state[n / 8][n % 8];
      s[0] *= f.x, s[1] *= f.y, s[2] *= f.x, s[3] *= f.y;
    }
  }

  /// S^T += V^T e, to be waited for.
  __device__ __forceinline__ void addKeys(float (&state)[kKeyPanels][8][4], int stage,
                                          int group) const {
    const uint32 v = sharedAddress(value(stage) + group * kPanel), k = sharedAddress(key(stage));
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < kParts; ++step)
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
        wgmmaTransposed<Along::columns>(
            Element{}, state[panel], panelDescriptor(v + step * 2 * kPanelGroup),
            panelDescriptor(k + panel * kPanel + step * 2 * kPanelGroup));
    wgmmaCommit();
  }

  /// The state at the start of the segment.
  __device__ __forceinline__ void findState(float (&state)[kKeyPanels][8][4], int group,
                                            const States& states) const {
    if (!segment.last()) {
#pragma unroll 1
      for (int round = 0; round < segment.swept; ++round) {
        scored().wait(round & 1);
        addKeys(state, round % V::kStages, group);
        wgmmaWait<0>();
        this->arriveWarp(empty(round % V::kStages));
      }
      states.share(state, 0.0f);
    }
    loadState(state, group);
    if (segment.index > 0)
      states.join(state, [&](int index) {
        const float* decay = states.vector(index) + lane % 4 * 2;
        return [=](int n) {
          const float even = loadFresh(decay + n * 8), odd = loadFresh(decay + n * 8 + 1);
          return make_float4(even, odd, even, odd);
        };
      });
    if (!segment.last())
      states.leave();
  }

  /// 64 columns of V through the segment.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4] = {};
    const States states = this->states(group * 128 + warp * 32 + lane);
    findState(state, group, states);
#pragma unroll 1
    for (int walked = 0; walked < segment.chunks; ++walked) {
      int round = segment.swept + walked, stage = round % V::kStages;
      scored().wait(round & 1);
      decayState(state, this->decayBefore(walked), 0, kKeyPanels);
      uint32 q = sharedAddress(query(stage)), p = sharedAddress(scores(0));
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
                                    panelDescriptor(q + step / 4 * kPanel + step % 4 * 32), 1);
        wgmmaCommit();
      }
      wgmmaWait<0>();
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
        if (this->wide(walked, panel))
          decayState(state, this->decayWithin(walked), panel, panel + 1);
      wgmmaFence();
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
#pragma unroll
        for (int step = 0; step < kParts; ++step)
          wgmmaTransposed<Along::contraction>(Element{}, out,
                                              panelDescriptor(v + step * 2 * kPanelGroup),
                                              panelDescriptor(p + panel * kPanel + step * 32));
      wgmmaCommit();
      addKeys(state, stage, group);
      wgmmaWait<1>();
      this->arriveWarp(consumed());
      this->writeChunk(out, walked, stage, group);
      wgmmaWait<0>();
      this->arriveWarp(empty(stage));
    }
    if (!segment.last())
      return;
    if (segment.count > 1)
      states.awaitOthers();
    if (auto last = V::template finalState<0>(args, this->sequence, this->head))
      this->eachStateElement(state, group, [&](int d, int v, float& s) {
        last(d, v) = fromFloat<typename V::template State<0>>(s * exp2(this->behind()[d]));
      });
    if (segment.count > 1)
      states.close();
  }

  /// In all stages, the channels that do not exist: nobody copies anything there.
  __device__ __forceinline__ void zeroChannels() const {
    constexpr int kFirst = V::kK % kPanelColumns / 8, kPieces = 8 - kFirst;
    if constexpr (kFirst > 0)
      for (int i = threadIdx.x; i < V::kStages * V::kChunk * kPieces; i += kThreads) {
        const int row = i / kPieces % V::kChunk, stage = i / kPieces / V::kChunk;
        char* piece =
            query(stage) + (kKeyPanels - 1) * kPanel + panelOffset(row, kFirst + i % kPieces);
        const uint4 zero = make_uint4(0, 0, 0, 0);
        *reinterpret_cast<uint4*>(piece) = zero;
        *reinterpret_cast<uint4*>(piece + kKeyTile) = zero;
        *reinterpret_cast<uint4*>(piece + V::kGateOffset) = zero;
      }
  }

  __device__ __forceinline__ void initialise() const {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(V::kInputs * 32);
        empty(stage).init(4 * kGroups);
      }
      scored().init(4 * kKeyPanels);
      consumed().init(4 * kGroups);
    }
    for (int d = threadIdx.x; d < kChannels; d += kThreads)
      this->behind()[d] = 0.0f;
    zeroChannels();
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    initialise();
    int role = threadIdx.x / 128;
    if (role == 0) {
      lowerRegisters<V::kLoadRegisters>();
      this->copyAll();
    } else if (role <= kKeyPanels) {
      lowerRegisters<V::kScoreRegisters>();
      transform();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 1 - kKeyPanels);
      this->finishOutputs();
    }
  }
};
