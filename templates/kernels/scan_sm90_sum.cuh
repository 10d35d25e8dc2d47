// Forward of a scan in both directions without decay, for sm_90a: every token reads the sum over
// all. The roles are those of scan_sm90.cuh, without scores: first the sum S = sum_j key_j *
// value_j of the sweep, then the reads O^T = S^T Q^T of the walk, for which S is rounded once.

/// The normaliser, a sum of keys, by the warpgroup that also maps.
template <class V> struct SumNormaliser : HopperNormaliser<V> {
  using Base = HopperNormaliser<V>;
  using Element = typename V::Element;
  using Base::half;
  using Base::room;
  using Base::thread;
  using Base::token;

  __device__ __forceinline__ explicit SumNormaliser(char* shared) : Base(shared) {}

  /// Shares the sum of a segment, or makes what all tokens read.
  template <class States>
  __device__ __forceinline__ void find(const Args& args, const Sequence& sequence, int head,
                                       bool stores, const States& states) {
    const Segment& segment = states.segment;
    auto own = [&](int d) { return segment.swept ? room().state[d] : 0.0f; };
    if (!segment.walks()) {
      for (int d = thread; d < V::kK; d += 128)
        states.vector(segment.index)[d] = own(d);
      states.publish();
      return;
    }
    for (int index = 0; index < segment.joined; ++index)
      states.shared(index).waitFor(States::kSharers);
    if (segment.count > 1 && segment.last())
      states.awaitOthers();
    const SumStates<V, 1> sums(args, sequence, head, stores && segment.last());
    for (int d = thread; d < V::kK; d += 128) {
      float n = segment.count > 1 ? 0.0f : own(d);
      for (int index = 0; index < segment.joined; ++index)
        n += loadFresh(states.vector(index) + d);
      sums(d, 0, n);
      room().state[d] = n;
    }
    if (!segment.last())
      states.leave();
    syncWarpgroup<Base::kBarrier>();
  }

  /// query_i . n of every token of a chunk.
  __device__ __forceinline__ void read(const char* query, int buffer) {
    room().part[half][token] = Base::readQueries(query);
    syncWarpgroup<Base::kBarrier>();
    if (half == 0)
      Base::reads(buffer)[token] = room().part[0][token] + room().part[1][token];
    syncWarpgroup<Base::kBarrier>();
  }
};

template <class V> struct HopperSum : HopperScan<V> {
  using Base = HopperScan<V>;
  using Element = typename V::Element;
  using F = Fragments<Element>;
  using Base::args;
  using Base::arriveWarp;
  using Base::empty;
  using Base::full;
  using Base::kKeyPanels;
  using Base::kPanel;
  using Base::lane;
  using Base::query;
  using Base::scored;
  using Base::segment;
  using Base::sequence;
  using Base::warp;
  using typename Base::States;

  /// Keys, and values that no output is made of, are brought for the sweep alone.
  template <class Copy>
  __device__ __forceinline__ void copySwept(const Copy& copy, bool walks) const {
    Base::eachRound([&](int round) {
      const int stage = round % V::kStages;
      empty(stage).wait(~(round / V::kStages) & 1);
      if (walks || round < segment.swept)
        copy.issue(round);
      else
        full(stage).arrive();
    });
  }
  __device__ __forceinline__ void copyKeys() const {
    using Keys = typename Base::template StageCopy<V::kK, 1>;
    copySwept(Keys(*this, V::copied(args, 1), 1, 0, Base::kKeyTile, V::kK, true), false);
  }
  __device__ __forceinline__ void copyValues() const {
    using Values = typename Base::template StageCopy<V::kBlockV, 1>;
    const int column = this->tile * V::kBlockV;
    copySwept(
        Values(*this, V::copied(args, 2), 2, column, 2 * Base::kKeyTile, V::kV - column, true),
        V::kValuesInOutput);
  }

  /// The rows of a chunk that one half of the work needs become what the spec makes of them.
  template <class Phase> __device__ __forceinline__ void mapRows(int chunk, int stage) const {
    if constexpr (Phase::kRowProgram) {
      constexpr int kRowsAtOnce = 32 / V::kRowLanes;
      const int firstToken = chunk * V::kChunk;
#pragma unroll 2
      for (int first = warp * kRowsAtOnce; first < V::kChunk; first += 4 * kRowsAtOnce) {
        const int token = first + lane / V::kRowLanes;
        Phase::rowProgram(args, this->shared, stage, token, firstToken + token < sequence.tokens,
                          this->tile, sequence, this->firstHead, firstToken, lane);
      }
      fenceAsyncProxy();
      syncWarpgroup<Base::kScoreBarrier>();
    }
  }

  __device__ __forceinline__ void prepareSweep(SumNormaliser<V>& normaliser) const {
#pragma unroll 1
    for (int round = 0; round < segment.swept; ++round) {
      const int stage = round % V::kStages;
      full(stage).wait(round / V::kStages & 1);
      if constexpr (V::kRowProgram) {
        if (!V::Swept::kRowProgram && !Base::byEngine(round))
          fenceAsyncProxy();
        mapRows<typename V::Swept>(segment.chunk(round), stage);
        arriveWarp(Base::mapped(stage));
      }
      if constexpr (V::kNormaliser)
        normaliser.sweep(Base::key(stage), Base::factors(stage, 0), round == 0);
      arriveWarp(empty(stage));
    }
  }

  /// What the warpgroup does that computes scores in other scans.
  __device__ __forceinline__ void prepare() {
    SumNormaliser<V> normaliser(this->shared);
    const States states{segment, static_cast<char*>(args.workspace), this->unit, warp * 32 + lane,
                        lane};
    prepareSweep(normaliser);
    if constexpr (V::kNormaliser)
      normaliser.find(args, sequence, this->firstHead, this->tile == 0, states);
#pragma unroll 1
    for (int walked = 0; walked < segment.chunks; ++walked) {
      const int round = segment.swept + walked, stage = round % V::kStages;
      const int buffer = walked % V::kScoreBuffers;
      full(stage).wait(round / V::kStages & 1);
      if (!V::Walked::kRowProgram && !Base::byEngine(round))
        fenceAsyncProxy();
      mapRows<typename V::Walked>(segment.chunk(round), stage);
      if constexpr (V::kNormaliser) {
        Base::consumed(buffer).wait(~(walked / V::kScoreBuffers) & 1);
        normaliser.read(query(stage), buffer);
      }
      arriveWarp(scored(buffer));
      arriveWarp(empty(stage));
    }
    if (V::kNormaliser && segment.count > 1 && segment.last())
      states.close();
  }

  /// The reads of a segment's chunks.
  __device__ __forceinline__ void walk(const FragmentA (&state)[V::kK / 16], int group) {
#pragma unroll 1
    for (int walked = 0; walked < segment.chunks; ++walked) {
      const int stage = (segment.swept + walked) % V::kStages, buffer = walked % V::kScoreBuffers;
      scored(buffer).wait(walked / V::kScoreBuffers & 1);
      const uint32 q = sharedAddress(query(stage));
      float out[8][4];
      wgmmaFence();
#pragma unroll
      for (int step = 0; step < V::kK / 16; ++step)
        wgmma<Along::contraction>(Element{}, out, state[step],
                                  panelDescriptor(q + step / 4 * kPanel + step % 4 * 32), step > 0);
      wgmmaCommit();
      FragmentA v[V::kChunk / 16];
      if constexpr (V::kValuesInOutput)
        Base::loadValues(v, stage, group);
      wgmmaWait<0>();
      uint32 packed[8][2];
      Base::finishOutput(packed, out, v, stage, buffer, group);
      arriveWarp(Base::consumed(buffer));
      arriveWarp(empty(stage));
      Base::writeOutput(packed, segment.first + walked, group);
    }
    if (warp == 0 && lane == 0)
      waitBoxes<0>();
  }

  /// 64 columns of V through the segment.
  __device__ __forceinline__ void advance(int group) {
    float state[kKeyPanels][8][4];
    const States states{segment, static_cast<char*>(args.workspace), this->unit,
                        group * 128 + warp * 32 + lane, lane};
    eachElement(state, warp, lane, [](int, int, float& s) { s = 0.0f; });
    Base::sweep(state, group);
    if (!segment.walks()) {
      states.share(state, 1.0f);
      return;
    }
    if (segment.count > 1)
      states.join(state,
                  [](int) { return [](int) { return make_float4(1.0f, 1.0f, 1.0f, 1.0f); }; });
    if (segment.count > 1 && segment.last())
      states.awaitOthers();
    const SumStates<V, 0> sums(args, sequence, this->firstHead, segment.last());
    Base::eachStateElement(state, group, [&](int d, int v, float& s) { sums(d, v, s); });
    if (!segment.last())
      states.leave();
    FragmentA rounded[V::kK / 16];
#pragma unroll
    for (int step = 0; step < V::kK / 16; ++step)
      rounded[step] = F::fromAccumulator(state[step / 4], step % 4);
    walk(rounded, group);
    if (segment.count > 1 && segment.last())
      states.close();
  }

  __device__ __forceinline__ void run() {
    Base::initBarriers();
    const int role = threadIdx.x / 128;
    if (role == 0) {
      lowerRegisters<V::kLoadRegisters>();
      if (warp == 0)
        Base::template copyQueries<false>();
      else if (warp == 1)
        copyKeys();
      else if (warp == 2)
        copyValues();
      else
        Base::computeFactors(0);
    } else if (role == 1) {
      lowerRegisters<V::kScoreRegisters>();
      prepare();
    } else {
      raiseRegisters<V::kStateRegisters>();
      advance(role - 2);
    }
  }
};
