// Chunks whose decay of channels of V spans more than one product can hold
// (scan_sm90_values.cuh), for gates without bound: by sub-chunks of 16 tokens, each warp by itself
// with its 16 channels, so that no exponent but a sum of gates is formed, none above 0.
//
// The state is read and updated by every sub-chunk. What the tokens of one read of each other is
// made in halves: of a block of 2 SIZE tokens the later half by the earlier half (in reverse, the
// earlier by the later), with the decays from and to its middle, then its halves likewise.

template <class V> struct StrongChunks : InputTiles<V> {
  using Base = InputTiles<V>;
  using Element = typename V::Element;
  using Gate = typename V::Gate;
  using F = Fragments<Element>;
  using Base::kKeyPanels;
  using Base::kPanel;
  using Base::lane;
  using Base::query;
  using Base::warp;
  static constexpr int kParts = V::kChunk / 16;

  /// This thread's first channel of those of the block; the other is the eighth from it.
  __device__ __forceinline__ int rowOf(int group) const {
    return group * kPanelColumns + warp * 16 + lane / 4;
  }
  /// Whether the query of token i reads the key of token j.
  static __device__ __forceinline__ bool sees(int i, int j) {
    return V::kReverse ? j >= i : j <= i - int(V::kReadsBefore);
  }
  /// Times gates of a sub-chunk: for each token `of` the sum of those of the tokens that `inside`
  /// holds for.
  template <class Inside>
  static __device__ __forceinline__ FragmentB onesTo(int lane, Inside inside) {
    return asColumns(onesWhere<Gate>(lane, [&](int of, int token) { return inside(token, of); }));
  }

  /// The gates of 16 channels and the tokens of a sub-chunk.
  __device__ __forceinline__ FragmentA loadGates(int stage, int group, int part) const {
    FragmentA gate;
    this->loadColumns(gate, query(stage) + V::kGateOffset + group * kPanel, part);
    // The logarithm of zero times zero would be no number.
#pragma unroll
    for (int i = 0; i < 4; ++i)
      gate.r[i] = maximumPacked<Gate>(gate.r[i], pack<Gate>(Base::kLeastGate, Base::kLeastGate));
    return gate;
  }

  /// An operand of 16 channels by 16 tokens times 2^sums, which lie as in an accumulator.
  static __device__ __forceinline__ void scaleRows(FragmentA& v, const float (&sums)[2][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* sum = sums[i / 2] + i % 2 * 2;
      v.r[i] = scalePacked<Element>(v.r[i], exp2(sum[0]), exp2(sum[1]));
    }
  }
  /// The two channels of a thread times a factor each.
  template <int N>
  static __device__ __forceinline__ void scaleRows(float (&x)[N][4], float upper, float lower) {
#pragma unroll
    for (int n = 0; n < N; ++n)
      x[n][0] *= upper, x[n][1] *= upper, x[n][2] *= lower, x[n][3] *= lower;
  }

  /// Sums of gates in log2 units.
  static __device__ __forceinline__ void sumGates(float (&sums)[2][4], const FragmentA& gate,
                                                  const FragmentB& some) {
#pragma unroll
    for (int e = 0; e < 8; ++e)
      sums[e / 4][e % 4] = 0.0f;
    mma16<Gate>(sums[0], sums[1], gate, some);
#pragma unroll
    for (int e = 0; e < 8; ++e)
      sums[e / 4][e % 4] *= kLog2E;
  }

  /// The rows of a sub-chunk in a tile of panels as a B operand, columns from 16 `step` on.
  __device__ __forceinline__ FragmentB loadRowsOf(const char* tile, int part, int step) const {
    FragmentB b;
    loadMatrix4(b.r,
                tile + step / 4 * kPanel +
                    panelOffset(part * 16 + lane % 8 + lane / 16 * 8, step % 4 * 2 + lane / 8 % 2));
    return b;
  }

  /// out = S^T Q^T of a sub-chunk.
  __device__ __forceinline__ void
  readPart(float (&out)[2][4], const float (&state)[kKeyPanels][8][4], int stage, int part) const {
#pragma unroll
    for (int e = 0; e < 8; ++e)
      out[e / 4][e % 4] = 0.0f;
#pragma unroll
    for (int step = 0; step < V::kK / 16; ++step)
      mma16<Element>(out[0], out[1], F::fromAccumulator(state[step / 4], step % 4),
                     loadRowsOf(query(stage), part, step));
  }

  /// What the queries of a sub-chunk read of its own tokens.
  __device__ __forceinline__ void addOwn(float (&out)[2][4], const FragmentA& values,
                                         const FragmentA& gate, const FragmentB& scores) const {
#pragma unroll 1
    for (int size = 8; size > 0; size /= 2) {
      // Of the later half, the gates from the middle to a token; of the earlier, those to there.
      const FragmentB between = onesTo(lane, [&](int token, int of) {
        const int middle = (of & -2 * size) + size;
        return of & size ? token >= middle && token <= of - int(V::kReadsBefore)
                         : token > of && token < middle;
      });
      float sums[2][4], own[2][4] = {};
      sumGates(sums, gate, between);
      FragmentA v = values;
      scaleRows(v, sums);
      mma16<Element>(own[0], own[1], v, keepWhere(scores, [&](int i, int j) {
                       return (i ^ j) / size == 1 && (V::kReverse ? j : i) & size;
                     }));
#pragma unroll
      for (int e = 0; e < 8; ++e)
        out[e / 4][e % 4] += own[e / 4][e % 4] * exp2(sums[e / 4][e % 4]);
    }
    if constexpr (!V::kReadsBefore)
      mma16<Element>(out[0], out[1], values,
                     keepWhere(scores, [](int i, int j) { return i == j; }));
  }

  /// The scores of those query and key tokens of a sub-chunk that `inside` holds for.
  template <class Inside>
  __device__ __forceinline__ FragmentB keepWhere(FragmentB scores, Inside inside) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int query = lane / 4 + i / 2 * 8, key = lane % 4 * 2 + i % 2 * 8;
      scores.r[i] &=
          (inside(query, key) ? 0xffffu : 0u) | (inside(query, key + 1) ? 0xffff0000u : 0u);
    }
    return scores;
  }

  /// S^T += e^T K of a sub-chunk.
  __device__ __forceinline__ void addPart(float (&state)[kKeyPanels][8][4], const FragmentA& e,
                                          int stage, int part) const {
#pragma unroll
    for (int step = 0; step < V::kK / 16; ++step) {
      FragmentB k;
      loadMatrix4Transposed(k.r, this->key(stage) + step / 4 * kPanel +
                                     panelOffset(part * 16 + lane % 16, step % 4 * 2 + lane / 16));
      mma16<Element>(state[step / 4][step % 4 * 2], state[step / 4][step % 4 * 2 + 1], e, k);
    }
  }

  /// What a chunk reads, and the state behind it.
  __device__ __forceinline__ void advanceStrong(float (&out)[8][4],
                                                float (&state)[kKeyPanels][8][4], int stage,
                                                int buffer, int group) const {
    const FragmentB entry = onesTo(lane, [](int token, int of) {
      return V::kReverse ? token > of : token <= of - int(V::kReadsBefore);
    });
    const FragmentB later =
        onesTo(lane, [](int token, int of) { return V::kReverse ? token <= of : token > of; });
    const FragmentB all = onesTo(lane, [](int, int) { return true; });
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      const int part = V::kReverse ? kParts - 1 - i : i;
      const FragmentA gate = loadGates(stage, group, part);
      FragmentA v;
      this->loadColumns(v, this->value(stage) + group * kPanel, part);
      float read[2][4], sums[2][4];
      readPart(read, state, stage, part);
      sumGates(sums, gate, entry);
#pragma unroll
      for (int e = 0; e < 8; ++e)
        read[e / 4][e % 4] *= exp2(sums[e / 4][e % 4]);
      addOwn(read, v, gate, loadRowsOf(this->scores(buffer, 0), part, part));
#pragma unroll
      for (int e = 0; e < 8; ++e)
        out[part * 2 + e / 4][e % 4] = read[e / 4][e % 4];
      sumGates(sums, gate, all);
#pragma unroll
      for (int panel = 0; panel < kKeyPanels; ++panel)
        scaleRows(state[panel], exp2(sums[0][0]), exp2(sums[0][2]));
      sumGates(sums, gate, later);
      scaleRows(v, sums);
      addPart(state, v, stage, part);
    }
  }
};
