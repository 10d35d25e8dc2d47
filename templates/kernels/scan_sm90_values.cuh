// Forward of a scan with a decay of every channel of V, for sm_90a: the form of scan_sm90.cuh in
// chunks of 64 tokens. The state lies transposed, so a channel is a row of its accumulators, and
// all of the decay is the work of the warpgroups that hold it; scores are those of a scan without.
//
// With G the cumulative gates of a chunk in log2 units and C its end, values become
// e = v 2^{G_C - G} in registers: S^T <- 2^{G_C} S^T + e^T K, and what is read,
// O^T = 2^{G - G_C} (2^{G_C} S^T Q^T + e^T P^T). In reverse, where the decay comes behind the read,
// e = v 2^G, and what is read has the factor 2^-G. The exponents are sums of gates, added up by the
// tensor cores in the layout of the accumulators, which is that of the values. Where they leave the
// range of a product, the chunk goes by 16 tokens at a time (scan_sm90_strong.cuh).

/// Binary orders of magnitude that the decay of a chunk may span.
template <class T> constexpr float widestChunk = 100.0f;
template <> constexpr float widestChunk<f16> = 10.0f;

template <class V> struct HopperValueScan : StrongChunks<V> {
  using Base = StrongChunks<V>;
  using Element = typename V::Element;
  using Gate = typename V::Gate;
  using Base::args;
  using Base::arriveWarp;
  using Base::consumed;
  using Base::empty;
  using Base::full;
  using Base::kGroups;
  using Base::kKeyPanels;
  using Base::kPanel;
  using Base::kParts;
  using Base::lane;
  using Base::loadGates;
  using Base::mapped;
  using Base::scored;
  using Base::segment;
  using Base::warp;
  using States = SegmentStates<4 * kGroups, kKeyPanels, 0, V::kBlockV>;
  static constexpr int kThreads = 128 * (2 + kGroups);
  static constexpr int kWideBarrier = 4;  ///< Of warpgroups, behind those that HopperScan has.

  /// Queries, keys, values and gates of a round are there as the spec makes them, for wgmma too.
  __device__ __forceinline__ void prepareTiles(typename Base::TokenScalars& scalars, int round,
                                               int stage) const {
    full(stage).wait(round / V::kStages & 1);
    if constexpr (V::kRowProgram || V::kTokenScalars)
      this->mapTiles(scalars, round, stage);
    fenceAsyncProxy();
    syncWarpgroup<Base::kScoreBarrier>();
  }

  /// P = Q K^T of a chunk, zero for later keys.
  __device__ __forceinline__ void scoreChunk(int walked, int stage) const {
    const int buffer = walked % V::kScoreBuffers, row = warp * 16 + lane / 4;
    const uint32 q = sharedAddress(this->query(stage)), k = sharedAddress(this->key(stage));
    float sum[8][4];
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < V::kK / 16; ++step) {
      const int offset = step / 4 * kPanel + step % 4 * 32;
      wgmma(Element{}, sum, panelDescriptor(q + offset), panelDescriptor(k + offset), step > 0);
    }
    wgmmaCommit();
    consumed(buffer).wait(~(walked / V::kScoreBuffers) & 1);
    wgmmaWait<0>();
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int i = row + e / 2 * 8, j = n * 8 + lane % 4 * 2 + e % 2;
        sum[n][e] = Base::sees(i, j) ? sum[n][e] : 0.0f;
      }
    this->storeScores(this->scores(buffer, 0), sum);
    fenceAsyncProxy();
  }

  /// What the state needs of every round beside its own work.
  __device__ __forceinline__ void score() const {
    typename Base::TokenScalars scalars;
    this->startScalars(scalars);
#pragma unroll 1
    for (int round = 0; round < segment.rounds(); ++round) {
      const int stage = round % V::kStages, walked = round - segment.swept;
      prepareTiles(scalars, round, stage);
      if (walked < 0) {
        arriveWarp(mapped(stage));
      } else {
        scoreChunk(walked, stage);
        arriveWarp(scored(walked % V::kScoreBuffers));
      }
      arriveWarp(empty(stage));
    }
  }

  /// Calls f(part, sums) for all parts of a chunk, the last of the walk first: for each token the
  /// gates of this thread's channels from behind it, or with OWN or in reverse from it, to where
  /// the walk leaves the chunk, in log2 units, on top of `behind`, which those of all join. Twice a
  /// chunk, as to keep them would take more registers.
  template <bool OWN = false, class Function>
  __device__ __forceinline__ void eachPart(float (&behind)[2], int stage, int group,
                                           Function f) const {
    const FragmentB later = Base::onesTo(
        lane, [](int token, int of) { return V::kReverse ? token <= of : token > of - int(OWN); });
    const FragmentB all = Base::onesTo(lane, [](int, int) { return true; });
#pragma unroll
    for (int i = kParts - 1; i >= 0; --i) {
      const int part = V::kReverse ? kParts - 1 - i : i;
      const FragmentA gate = loadGates(stage, group, part);
      float total[4] = {behind[0], behind[0], behind[1], behind[1]}, sums[2][4];
#pragma unroll
      for (int e = 0; e < 8; ++e)
        sums[e / 4][e % 4] = total[e % 4];
      mma16<Gate>(sums[0], sums[1], gate, later);
      mma(Gate{}, total, gate, all.r[0], all.r[1]);
      behind[0] = total[0], behind[1] = total[2];
#pragma unroll
      for (int e = 0; e < 8; ++e)
        sums[e / 4][e % 4] *= kLog2E;
      f(part, sums);
    }
  }

  /// The values of a chunk, decayed to its end and by `behind`.
  __device__ __forceinline__ void loadDecayed(FragmentA (&v)[kParts], float (&behind)[2], int stage,
                                              int group) const {
    eachPart(behind, stage, group, [&](int part, const float(&sums)[2][4]) {
      this->loadColumns(v[part], this->value(stage) + group * kPanel, part);
      Base::scaleRows(v[part], sums);
    });
  }

  /// The state that the segment makes of zero, and the decay over it, for later segments.
  __device__ __forceinline__ void sweep(float (&state)[kKeyPanels][8][4], int group,
                                        const States& states) const {
    float behind[2] = {};
#pragma unroll 1
    for (int round = 0; round < segment.swept; ++round) {
      const int stage = round % V::kStages;
      mapped(stage).wait(round / V::kStages & 1);
      FragmentA v[kParts];
      loadDecayed(v, behind, stage, group);
      this->addChunk(state, v, stage);
      wgmmaWait<0>();
      arriveWarp(empty(stage));
    }
    if (lane % 4 == 0)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        states.vector(segment.index)[Base::rowOf(group) + half * 8] = exp2(behind[half] * kLog2E);
    states.share(state, 0.0f);
  }

  /// The state at the start of the segment.
  __device__ __forceinline__ void findState(float (&state)[kKeyPanels][8][4], int group,
                                            const States& states) const {
    eachElement(state, warp, lane, [](int, int, float& s) { s = 0.0f; });
    if (!segment.last()) {
      sweep(state, group, states);
      eachElement(state, warp, lane, [](int, int, float& s) { s = 0.0f; });
    }
    const auto initial = V::template initialState<0>(args, this->sequence, this->head);
    this->eachStateElement(
        state, group, [&](int d, int v, float& s) { s = initial ? toFloat(initial(d, v)) : 0.0f; });
    if (segment.index > 0)
      states.join(state, [&](int index) {
        const float* decay = states.vector(index) + Base::rowOf(group);
        const float upper = loadFresh(decay), lower = loadFresh(decay + 8);
        return [=](int) { return make_float4(upper, upper, lower, lower); };
      });
    if (!segment.last())
      states.leave();
  }

  /// Whether a chunk, over which a thread's channels decay by 2^total, leaves the range of one
  /// product for any channel of the warpgroup.
  __device__ __forceinline__ bool isStrong(const float (&total)[2], int group) const {
    bool strong = false;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      strong |= this->columnOf(0) + Base::rowOf(group) + half * 8 < V::kV &&
                total[half] < -widestChunk<Element>;
    return anyOfWarpgroup(kWideBarrier + group, strong);
  }

  /// Turns what was read of a chunk into the output, rounded; it still has the decay to the chunk's
  /// end unless the chunk was `strong`.
  __device__ __forceinline__ void finish(uint32 (&packed)[8][2], const float (&read)[8][4],
                                         bool strong, int stage, int group) const {
    float none[2] = {};
    eachPart<V::kReadsBefore>(none, stage, group, [&](int part, const float(&sums)[2][4]) {
      FragmentA own = {};
      if constexpr (V::kFinishesValues)
        this->loadColumns(own, this->value(stage) + group * kPanel, part);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float y[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int token = part * 16 + i / 2 * 8 + lane % 4 * 2 + e, at = i % 2 * 2 + e;
          const float factor = exp2(strong ? 0.0f : -sums[i / 2][at]);
          y[e] = V::finish(args, this->slots(stage, 0) + token,
                           toFloat(Element{uint16(own.r[i] >> e * 16)}),
                           read[part * 2 + i / 2][at] * factor, 0.0f);
        }
        packed[part * 2 + i / 2][i % 2] = pack<typename V::template Output<0>>(y[0], y[1]);
      }
    });
  }

  __device__ __forceinline__ void walk(float (&state)[kKeyPanels][8][4], int own) {
    float out[8][4];
    this->readState(out, state, 0);
#pragma unroll 1
    for (int walked = 0; walked < segment.chunks; ++walked) {
      const int group = opaque(own);  // What is made of it is not kept from chunk to chunk.
      const int stage = (segment.swept + walked) % V::kStages, buffer = walked % V::kScoreBuffers;
      // With one panel of keys ptxas would else put a wait behind every wgmma.
      if constexpr (kKeyPanels == 1)
        wgmmaWait<0>();
      FragmentA v[kParts];
      float total[2] = {};
      loadDecayed(v, total, stage, group);
      total[0] *= kLog2E, total[1] *= kLog2E;
      const bool strong = isStrong(total, group);
      wgmmaWait<0>();
      if (strong) {
        this->advanceStrong(out, state, stage, buffer, group);
      } else {
        const float upper = exp2(total[0]), lower = exp2(total[1]);
        Base::scaleRows(out, upper, lower);
#pragma unroll
        for (int panel = 0; panel < kKeyPanels; ++panel)
          Base::scaleRows(state[panel], upper, lower);
        this->addScores(out, v, buffer, group);
        this->addChunk(state, v, stage);
        wgmmaWait<0>();
      }
      arriveWarp(consumed(buffer));
      uint32 packed[8][2];
      finish(packed, out, strong, stage, group);
      arriveWarp(empty(stage));
      this->readState(out, state, walked + 1);
      this->writeOutput(packed, segment.chunk(segment.swept + walked), group);
    }
    wgmmaWait<0>();
  }

  /// 64 columns of V through the segment.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4];
    const States states{segment, static_cast<char*>(args.workspace), this->unit,
                        group * 128 + warp * 32 + lane, lane};
    findState(state, group, states);
    walk(state, group);
    if (warp == 0 && lane == 0)
      waitBoxes<0>();
    if (!segment.last())
      return;
    if (segment.count > 1)
      states.awaitOthers();
    if (auto last = V::template finalState<0>(args, this->sequence, this->head))
      this->eachStateElement(state, group, [&](int d, int v, float& s) {
        last(d, v) = fromFloat<typename V::template State<0>>(s);
      });
    if (segment.count > 1)
      states.close();
  }

  __device__ __forceinline__ void run() {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < V::kStages; ++stage) {
        full(stage).init(V::kInputs * 32);
        empty(stage).init(4 + 4 * kGroups);
        mapped(stage).init(4);
      }
      for (int buffer = 0; buffer < V::kScoreBuffers; ++buffer) {
        scored(buffer).init(4);
        consumed(buffer).init(4 * kGroups);
      }
    }
    __syncthreads();
    const int role = threadIdx.x / 128;
    if (role == 0) {
      lowerRegisters<V::kLoadRegisters>();
      this->copyAll();
    } else if (role == 1) {
      lowerRegisters<V::kScoreRegisters>();
      score();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 2);
    }
  }
};
