// The sweep of a segment (segments.cuh) in a scan with a decay of every channel: keys decayed to
// the end of the segment, for which no reference is needed.

template <class V> struct ChannelSweep : WideChunks<V> {
  using Base = WideChunks<V>;
  using Element = typename V::Element;
  using Gate = typename V::Gate;
  using Base::full;
  using Base::kParts;
  using Base::lane;
  using Base::panel;
  using Base::partGates;
  using Base::segment;
  using Base::warp;
  using typename Base::States;

  /// The keys of this warp's sub-chunk from each token to the end of the segment; `behind`: the
  /// gates of this lane's two channels behind the chunk, which those of the chunk join.
  __device__ __forceinline__ void decayKeys(float2& behind, float2& normaliser, int stage) const {
    const FragmentA later = onesWhere<Gate>(
        lane, [](int row, int column) { return V::kReverse ? column <= row : column > row; });
    float sums[4][2][4];
    this->sumGates(sums, later, stage);
    this->meet();
    float2* offsets = reinterpret_cast<float2*>(this->factors());
    const int pair = panel * 32 + lane;
    float2 offset = behind;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const float2 own = partGates(part, pair);
      behind.x += own.x, behind.y += own.y;
      if (V::kReverse ? part < warp : part > warp)
        offset.x += own.x, offset.y += own.y;
    }
    offsets[pair] = offset;
    __syncwarp();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint32 address = this->fragmentAddress(stage, step) + Base::kKeyTile;
      FragmentA k = Base::loadRows(address);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float2 offset = offsets[panel * 32 + step * 8 + i / 2 * 4 + lane % 4];
        const float* sum = sums[step][i / 2] + i % 2 * 2;
        k.r[i] = scalePacked<Element>(k.r[i], exp2(sum[0] * kLog2E + offset.x),
                                      exp2(sum[1] * kLog2E + offset.y));
      }
      Base::storeRows(address, k);
    }
    fenceAsyncProxy();
    if constexpr (V::kNormaliser)
      this->sumKeys(stage);
    // The sums of the next chunk take the place of these.
    this->meet();
    if constexpr (V::kNormaliser)
      this->addKeySums(normaliser);
  }

  /// Until the state has this round of the sweep, so that it is never told of two rounds at once.
  __device__ __forceinline__ void awaitState(int round) const {
    if (round >= 0)
      Base::empty(round % V::kStages).wait(round / V::kStages & 1);
  }

  /// What the state needs of the sweep, and the decays over the segment for later ones.
  __device__ __forceinline__ void sweepTiles(typename Base::TokenScalars& scalars) const {
    float2 behind = make_float2(0.0f, 0.0f), normaliser = behind;
#pragma unroll 1
    for (int round = 0; round < segment.swept; ++round) {
      int stage = round % V::kStages;
      full(stage).wait(round / V::kStages & 1);
      if constexpr (V::kRowProgram || V::kTokenScalars)
        this->mapTiles(scalars, round, stage);
      decayKeys(behind, normaliser, stage);
      awaitState(round - 1);
      this->arriveWarp(this->scored());
    }
    awaitState(segment.swept - 1);
    if (warp > 0)
      return;
    if (!segment.last())
      this->share(make_float2(exp2(behind.x), exp2(behind.y)), normaliser);
    if constexpr (V::kNormaliser)
      this->findNormaliser();
    if (!segment.last())
      this->states(0).leave();
  }
};
