// The normaliser of a scan with a decay of every channel in the form for sm_90a: the sums of
// decayed keys n, which decay as the rows of the state do and are read by the same queries. Each
// panel's warpgroup keeps its channels, at the reference of the state, in fp32:
//   query_i . n_i = a_i . n_0 + sum_j P_ij,   n <- n_0 + sum_j e_j
// of decayed queries a and keys e and of the scores P, rounded as the values are multiplied by
// them.

template <class V> struct ChannelSums : ChannelTiles<V> {
  using Base = ChannelTiles<V>;
  using Element = typename V::Element;
  using Base::fragmentAddress;
  using Base::kChannels;
  using Base::kKeyPanels;
  using Base::kParts;
  using Base::lane;
  using Base::panel;
  using Base::segment;
  using Base::warp;
  using typename Base::States;

  __device__ __forceinline__ States states(int thread) const {
    const int unit = this->unit + (V::kMirrored ? this->units : 0);
    return {segment, static_cast<char*>(this->args.workspace), unit, thread, lane};
  }

  /// n before a chunk of the walk, in two buffers in turns; by pairs of channels.
  __device__ __forceinline__ float2& sums(int walked, int pair) const {
    return reinterpret_cast<float2*>(this->normaliserReads(0, 0) + 2 * kKeyPanels * V::kChunk +
                                     walked % 2 * kChannels)[pair];
  }
  /// The sum of a sub-chunk's decayed keys.
  __device__ __forceinline__ float2& keySums(int part, int pair) const {
    return (&sums(0, 0))[kChannels + part * (kChannels / 2) + pair];
  }

  /// Sums the decayed keys of this warp's sub-chunk.
  __device__ __forceinline__ void sumKeys(int stage) const {
    const FragmentA all = onesWhere<Element>(lane, [](int, int) { return true; });
    __syncwarp();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      FragmentB keys;
      loadMatrix4Transposed(keys.r, fragmentAddress(stage, step) + Base::kKeyTile);
      float total[2][4] = {};
      mma16<Element>(total[0], total[1], all, keys);
#pragma unroll
      for (int half = 0; half < 2; ++half)
        if (lane < 4)
          keySums(warp, panel * 32 + step * 8 + half * 4 + lane) =
              make_float2(total[half][0], total[half][1]);
    }
  }

  /// Adds those of all sub-chunks, of this lane's two channels.
  __device__ __forceinline__ void addKeySums(float2& n) const {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const float2 own = keySums(part, panel * 32 + lane);
      n.x += own.x, n.y += own.y;
    }
  }

  /// The reads of this warp's 16 queries, and by the first warp n behind the chunk.
  __device__ __forceinline__ void readNormaliser(int walked, int stage, bool wide) const {
    __syncwarp();
    float reads[2] = {};
    const uint32 scores = sharedAddress(this->scores(panel));
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const FragmentA q = Base::loadRows(fragmentAddress(stage, step)),
                      p = Base::loadRows(scores +
                                         panelOffset(warp * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int pair = panel * 32 + step * 8 + i / 2 * 4 + lane % 4;
        const float2 n = sums(walked, pair), a = unpack<Element>(q.r[i]),
                     score = unpack<Element>(p.r[i]),
                     decay = reinterpret_cast<float2*>(this->decayBefore(walked))[pair];
        reads[i % 2] += a.x * (n.x * decay.x) + a.y * (n.y * decay.y) + (score.x + score.y);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int offset = 1; offset < 4; offset *= 2)
        reads[half] += __shfl_xor_sync(~0u, reads[half], offset);
      if (lane % 4 == 0)
        this->normaliserReads(walked, panel)[warp * 16 + half * 8 + lane / 4] = reads[half];
    }
    if (warp > 0)
      return;
    const int pair = panel * 32 + lane;
    float2 n = sums(walked, pair),
           decay = reinterpret_cast<float2*>(this->decayBefore(walked))[pair];
    if (wide) {
      const float2 within = reinterpret_cast<float2*>(this->decayWithin(walked))[pair];
      decay.x *= within.x, decay.y *= within.y;
    }
    n.x *= decay.x, n.y *= decay.y;
    addKeySums(n);
    sums(walked + 1, pair) = n;
  }

  /// For later segments: the decay over this one of this lane's two channels, and what it makes of
  /// zero.
  __device__ __forceinline__ void share(float2 decay, float2 normaliser) const {
    const States own = states(0);
    float2* to = reinterpret_cast<float2*>(own.vector(segment.index)) + panel * 32 + lane;
    *to = decay;
    if constexpr (V::kNormaliser)
      to[kChannels / 2] = normaliser;
    own.publish();
  }

  /// n at the start of the segment, from that at the start of the sequence. By one warp of the
  /// panel, as what follows.
  __device__ __forceinline__ void findNormaliser() const {
    const States own = states(0);
    const auto initial = V::template initialState<1>(this->args, this->sequence, this->head);
    const int first = (panel * 32 + lane) * 2;
    for (int before = 0; before < segment.index; ++before)
      own.shared(before).waitFor(States::kSharers);
    float n[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int d = first + e;
      n[e] = initial && d < V::kK ? toFloat(initial(d, 0)) : 0.0f;
      for (int before = 0; before < segment.index; ++before)
        n[e] = n[e] * loadFresh(own.vector(before) + d) +
               loadFresh(own.vector(before) + kChannels + d);
    }
    sums(0, first / 2) = make_float2(n[0], n[1]);
  }

  __device__ __forceinline__ void storeNormaliser(int walked) const {
    const auto last = V::template finalState<1>(this->args, this->sequence, this->head);
    if (!last)
      return;
    const int pair = panel * 32 + lane;
    const float2 n = sums(walked, pair),
                 behind = *reinterpret_cast<const float2*>(this->behind() + pair * 2);
    const float all[2] = {n.x * exp2(behind.x), n.y * exp2(behind.y)};
#pragma unroll
    for (int e = 0; e < 2; ++e)
      if (pair * 2 + e < V::kK)
        last(pair * 2 + e, 0) = fromFloat<typename V::template State<1>>(all[e]);
  }
};
