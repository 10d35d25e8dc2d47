// What both ways to decay a chunk share (scan_sm90_channels.cuh, scan_sm90_wide.cuh): a warpgroup
// for each panel of 64 channels, each of its warps with a sub-chunk of 16 tokens, its tiles as
// fragments, and the sums of its gates.

template <class V> struct ChannelTiles : InputTiles<V> {
  using Base = InputTiles<V>;
  using Gate = typename V::Gate;
  using Base::kKeyPanels;
  using Base::kPanel;
  using Base::lane;
  using Base::query;
  using Base::shared;
  using Base::warp;
  /// With zeros in the tiles for those that do not exist.
  static constexpr int kChannels = kKeyPanels * kPanelColumns;
  /// A warp of each panel passes the decays over a segment on.
  using States =
      SegmentStates<4 * Base::kGroups, kKeyPanels, kKeyPanels, kChannels*(V::kNormaliser ? 2 : 1)>;
  static constexpr int kParts = V::kChunk / 16;
  const int panel = int(threadIdx.x) / 128 - 1;

  __device__ __forceinline__ char* gates(int stage) const { return query(stage) + V::kGateOffset; }
  __device__ __forceinline__ char* scores(int panel) const {
    return shared + V::kScoreOffset + panel * kPanel;
  }
  __device__ __forceinline__ Barrier scored() const { return Base::barrier(2 * V::kStages); }
  __device__ __forceinline__ Barrier consumed() const { return Base::barrier(2 * V::kStages + 1); }
  /// By what the state of each channel shrinks before a chunk reads it, and in a wide chunk between
  /// read and update. Scores are written when those of the chunk before are used up, so the other
  /// room is free by the next chunk.
  __device__ __forceinline__ float* decayBefore(int chunk) const {
    return reinterpret_cast<float*>(shared + V::kDecayOffset) + chunk % 2 * kChannels;
  }
  __device__ __forceinline__ float* decayWithin(int chunk) const {
    return decayBefore(chunk) + 2 * kChannels;
  }
  /// The sum of the gates of each channel since the reference of the state, in log2 units.
  __device__ __forceinline__ float* behind() const { return decayBefore(0) + 4 * kChannels; }
  /// Whether a chunk is wide.
  __device__ __forceinline__ int& wide(int chunk, int panel) const {
    return reinterpret_cast<int*>(decayBefore(0) + 5 * kChannels)[chunk % 2 * kKeyPanels + panel];
  }
  /// The sum of the gates of each channel over a sub-chunk, in log2 units.
  __device__ __forceinline__ float* partGates(int part) const {
    return reinterpret_cast<float*>(shared + V::kPartOffset) + part * kChannels;
  }
  __device__ __forceinline__ float2 partGates(int part, int pair) const {
    return *reinterpret_cast<const float2*>(partGates(part) + pair * 2);
  }

  /// Of a scan from each end: this warp has written all that it writes of the outputs. The last one
  /// zeroes the counter for the launches to come.
  __device__ __forceinline__ void finishOutputs() const {
    if constexpr (V::kPair) {
      __syncwarp();
      if (lane == 0) {
        if (V::kMirrored)
          Base::awaitFirst();
        if (Base::written().add() + 1 == 2 * Base::writers())
          *Base::written().address = 0;
      }
    }
  }

  /// What the queries read of the normaliser in the channels of each panel, in two buffers in
  /// turns.
  __device__ __forceinline__ float* normaliserReads(int walked, int panel) const {
    return reinterpret_cast<float*>(shared + V::kNormaliserOffset) +
           (walked % 2 * kKeyPanels + panel) * V::kChunk;
  }
  __device__ __forceinline__ float normaliserRead(int walked, int token) const {
    float sum = 0.0f;
    if constexpr (V::kNormaliser)
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
        sum += normaliserReads(walked, panel)[token];
    return sum;
  }
  /// Turns what was read into the output and writes it.
  __device__ __forceinline__ void writeChunk(const float (&read)[8][4], int walked, int stage,
                                             int group) const {
    using Out = typename V::template Output<0>;
    const Tensor& tensor = V::template outputTensor<0>(this->args);
    int firstToken = this->segment.chunk(this->segment.swept + walked) * V::kChunk,
        rows = this->sequence.tokens - firstToken;
    int column = this->tile * V::kBlockV + group * kPanelColumns + warp * 16;
    char* room = this->shared + V::kOutputOffset + (group * 4 + warp) * V::kOutputTokens * 32;
    const uint32 values = sharedAddress(this->value(stage)) + group * kPanel;
    const uint32 gates = sharedAddress(query(stage)) + V::kOutputGateOffset + group * kPanel;
    uint32 packed[8][2];
    FragmentA own = {}, gate = {};
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      // The values lie in their fragments as what was read lies in the accumulators.
      const int place = panelOffset(n * 8 + lane % 8 + lane / 16 * 8, warp * 2 + lane / 8 % 2);
      if (V::kFinishesValues && n % 2 == 0)
        loadMatrix4Transposed(own.r, values + place);
      if (V::kOutputGate && n % 2 == 0)
        loadMatrix4Transposed(gate.r, gates + place);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float y[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int token = n * 8 + lane % 4 * 2 + e;
          const auto element = [&](const FragmentA& from) {
            return toFloat(typename V::Element{uint16(from.r[n % 2 * 2 + half] >> e * 16)});
          };
          y[e] = V::finish(this->args, this->slots(stage, 0) + token, element(own),
                           read[n][half * 2 + e], normaliserRead(walked, token), element(gate));
        }
        packed[n][half] = pack<Out>(y[0], y[1]);
      }
    }
    writeTransposed<Out, V::kOutputTokens>(packed, room, tensor, this->sequence, this->head, column,
                                           V::kV - column, firstToken, rows, lane);
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
      b.r[i] = maximumPacked<Gate>(b.r[i], pack<Gate>(Base::kLeastGate, Base::kLeastGate));
    return b;
  }
  static __device__ __forceinline__ void storeRows(uint32 address, const FragmentA& a) {
    storeMatrix4(address, a.r[0], a.r[1], a.r[2], a.r[3]);
  }
  /// Sums the gates of this warp's sub-chunk, in log2 units: all of them for the other warps to
  /// see, and for each token those that `some` has ones for. Returns this thread's least sum of
  /// all.
  __device__ __forceinline__ float sumGates(float (&sums)[4][2][4], const FragmentA& some,
                                            int stage) const {
    const FragmentA all = onesWhere<Gate>(lane, [](int, int) { return true; });
    float least = 0.0f;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const FragmentB gate = loadGates(stage, step);
      float total[2][4] = {};
#pragma unroll
      for (int i = 0; i < 8; ++i)
        sums[step][i / 4][i % 4] = 0.0f;
      mma16<Gate>(total[0], total[1], all, gate);
      mma16<Gate>(sums[step][0], sums[step][1], some, gate);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float2 of = make_float2(total[half][0] * kLog2E, total[half][1] * kLog2E);
        least = fminf(least, fminf(of.x, of.y));
        if (lane < 4)
          *reinterpret_cast<float2*>(partGates(warp) + panel * kPanelColumns + step * 16 +
                                     half * 8 + lane * 2) = of;
      }
    }
    return least;
  }
};
