// A decay of every channel of V in a scan (portable form), in chunks of 16: it comes between the
// scores, which are those of a scan without decay, and the values.

/// The 16 scores of one query.
template <class Element>
__device__ __forceinline__ void loadScores(float (&p)[16], const Element* row) {
  constexpr int kPiece = 16 / int(sizeof(Element));
#pragma unroll
  for (int piece = 0; piece < 16 / kPiece; ++piece) {
    const Neighbours<Element, kPiece> x = neighbours<kPiece>(row + piece * kPiece);
#pragma unroll
    for (int i = 0; i < kPiece; ++i)
      p[piece * kPiece + i] = toFloat(x.elements[i]);
  }
}

/// What the tokens of a chunk read of each other, sum_{j <= i} P[i][j] v_j e^{G_i - G_j}, to
/// `own`; v e^{G_C - G} in the place of the values, e^{G_i} in that of the gates, and e^{G_C}. A
/// thread has a channel of a chunk: its values take each token's decay as it passes, so that no
/// exponential but that of one token's own gate is formed. In reverse j >= i, e^{G_j - G_i},
/// v e^G and e^{G_C - G_i}. `columns` of V exist.
template <class V>
__device__ __forceinline__ void
decayValues(typename V::Element* value, typename V::Gate* gate, const typename V::Element* scores,
            typename V::Element* own, float* total, int columns, int thread) {
  using Element = typename V::Element;
  using Gate = typename V::Gate;
#pragma unroll 1
  for (int item = thread; item < V::kBlockV * (V::kBlock / 16); item += V::kThreads) {
    const int v = item % V::kBlockV, first = item / V::kBlockV * 16;
    float kept[16], entry = 1.0f;
    auto decayKept = [&](int end, int first, float decay) {
#pragma unroll
      for (int j = first; j < end; ++j)
        kept[j] *= decay;
    };
#pragma unroll
    for (int step = 0; step < 16; ++step) {
      const int t = V::kReverse ? 15 - step : step;
      Gate& g = gate[(first + t) * V::kPitchGate + v];
      const float decay = exp2((v < columns ? toFloat(g) : 0.0f) * kLog2E), before = entry;
      float p[16], read = 0.0f;
      loadScores(p, scores + (first + t) * V::kPitchP);
      auto readKept = [&](int end) {
#pragma unroll
        for (int j = V::kReverse ? t : 0; j < end; ++j)
          read += p[j] * kept[j];
      };
      entry *= decay;
      if constexpr (V::kReadsBefore)
        readKept(t);
      if constexpr (!V::kReverse)
        decayKept(t, 0, decay);
      kept[t] = toFloat(value[(first + t) * V::kPitchV + v]);
      if constexpr (!V::kReadsBefore)
        readKept(V::kReverse ? 16 : t + 1);
      if constexpr (V::kReverse)
        decayKept(16, t, decay);
      own[(first + t) * V::kPitchV + v] = fromFloat<Element>(read);
      g = fromFloat<Gate>(V::kReadsBefore || V::kReverse ? before : entry);
    }
#pragma unroll
    for (int t = 0; t < 16; ++t)
      value[(first + t) * V::kPitchV + v] = fromFloat<Element>(kept[t]);
    total[first / 16 * V::kBlockV + v] = entry;
  }
}
