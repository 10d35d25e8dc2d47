// The part of a scan that does not see the state: scores within each chunk and the normaliser.

/// P[i][j] = (query_i . key_j) e^{G_i - G_j} for j <= i of one chunk (j < i where the read comes
/// before the update), on tensor cores; for no decay or one decay a token, and without that of the
/// channels of V. `cumulative` is G in log2 units, inclusive within the chunk. In reverse j >= i,
/// and `cumulative` is -G.
template <class V>
__device__ __forceinline__ void
scoreChunks(typename V::Element* scores, const typename V::Element* query,
            const typename V::Element* key, const float* cumulative, const float* queryCumulative,
            int rows, int warp, int lane) {
  using F = Fragments<typename V::Element>;
  constexpr int kGroups = V::kChunk / 16;
  int unit = 0;
#pragma unroll 1
  for (int rowGroup = 0; rowGroup * 16 < rows; ++rowGroup) {
    int first = rowGroup / kGroups * kGroups;
    int begin = V::kReverse ? rowGroup : first;
    int end = V::kReverse ? first + kGroups : rowGroup + 1;
#pragma unroll 1
    for (int columnGroup = begin; columnGroup < end; ++columnGroup) {
      if (unit++ % V::kWarps != warp)
        continue;
      float sum[2][4] = {};
#pragma unroll
      for (int step = 0; step < V::kPaddedK / F::kStep; ++step) {
        FragmentA a =
            F::rowsA(query + rowGroup * 16 * V::kPitchK + step * F::kStep, V::kPitchK, lane);
        FragmentB b =
            F::rowsB(key + columnGroup * 16 * V::kPitchK + step * F::kStep, V::kPitchK, lane);
        mma16<typename V::Element>(sum[0], sum[1], a, b);
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int i = rowGroup * 16 + half * 8 + lane / 4;
#pragma unroll
        for (int block = 0; block < 2; ++block) {
          int j = columnGroup * 16 + block * 8 + lane % 4 * 2;
          float p[2];
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            bool seen = V::kReverse ? j + e >= i : V::kReadsBefore ? j + e < i : j + e <= i;
            float decay = 1.0f;
            if constexpr (V::kDecay == Decay::scalar)
              decay = exp2(seen ? queryCumulative[i] - cumulative[j + e] : 0.0f);
            p[e] = seen ? sum[block][half * 2 + e] * decay : 0.0f;
          }
          typename V::Element* out = scores + i * V::kPitchP + j - first * 16;
          if constexpr (sizeof(typename V::Element) == 2)
            *reinterpret_cast<uint32*>(out) = pack<typename V::Element>(p[0], p[1]);
          else
            *reinterpret_cast<float2*>(out) = make_float2(p[0], p[1]);
        }
      }
    }
  }
}

/// The same for a decay of every key channel, in chunks of 16. Each row's query is decayed step by
/// step as it goes back over the keys (in reverse, on), so that no exponential but that of one
/// token's gate is ever formed: right for gates without bound, in fp32.
template <class V>
__device__ __forceinline__ void
scoreChunksByChannel(typename V::Element* scores, const typename V::Element* query,
                     const typename V::Element* key, const typename V::Gate* gate, int rows,
                     int warp, int lane) {
  constexpr int kLength = rowLength<V::kK>;
#pragma unroll 1
  for (int unit = warp; unit < V::kBlock / 4; unit += V::kWarps) {
    int chunk = unit / 4, group = (unit + chunk) % 4;
    int row = chunk * 16 + group * 4;
    if (row >= rows)
      continue;
    float decayed[4][kLength];
#pragma unroll
    for (int r = 0; r < 4; ++r)
      loadRow<V::kK>(decayed[r], query + (row + r) * V::kPitchK, V::kK, true, lane);
#pragma unroll 1
    for (int columns = group; columns >= 0 && columns < 4; columns += V::kReverse ? 1 : -1) {
      float sums[16] = {};
#pragma unroll
      for (int step = 3; step >= 0; --step) {
        const int c = V::kReverse ? 3 - step : step;
        int j = columns * 4 + c;
        float k[kLength], decay[kLength];
        loadRow<V::kK>(k, key + (chunk * 16 + j) * V::kPitchK, V::kK, true, lane);
        loadRow<V::kK>(decay, gate + (chunk * 16 + j) * V::kPitchGate, V::kK, true, lane);
#pragma unroll
        for (int i = 0; i < kLength; ++i)
          decay[i] = exp2(decay[i] * kLog2E);
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          if (columns == group && (V::kReverse ? c < r : V::kReadsBefore ? c >= r : c > r))
            continue;
#pragma unroll
          for (int i = 0; i < kLength; ++i) {
            // In reverse a key's own decay comes before it.
            if (V::kReverse && (columns > group || c > r))
              decayed[r][i] *= decay[i];
            sums[r * 4 + c] += decayed[r][i] * k[i];
            if (!V::kReverse)
              decayed[r][i] *= decay[i];
          }
        }
      }
      float total = warpSum16(sums, lane);
      if (lane < 16)
        scores[(row + lane / 4) * V::kPitchP + columns * 4 + lane % 4] =
            fromFloat<typename V::Element>(total);
    }
    if (lane < 16)
      for (int columns = V::kReverse ? 0 : group + 1; columns < (V::kReverse ? group : 4);
           ++columns)
        scores[(row + lane / 4) * V::kPitchP + columns * 4 + lane % 4] =
            fromFloat<typename V::Element>(0.0f);
  }
}

/// The normaliser n_t = e^{g_t} n_{t-1} + key_t and its reads query_t . n_t, token by token in
/// fp32: one state of K numbers, spread over the lanes of the block. Each warp writes its part of
/// every read to parts[warp][token].
template <class V>
__device__ __forceinline__ void
normaliseTokens(float (&state)[V::kNormaliserLength], float* parts,
                const typename V::Element* query, const typename V::Element* key,
                const float* scalarGate, const typename V::Gate* gate, int rows, int warp,
                int lane) {
#pragma unroll 1
  for (int group = 0; group * 16 < rows; ++group) {
    float reads[16];
#pragma unroll
    for (int t = 0; t < 16; ++t) {
      int token = group * 16 + t;
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < V::kNormaliserLength; ++i) {
        int d = (i * V::kWarps + warp) * 32 + lane;
        bool inside = d < V::kK;
        float q = inside ? toFloat(query[token * V::kPitchK + d]) : 0.0f;
        float k = inside ? toFloat(key[token * V::kPitchK + d]) : 0.0f;
        float decay = 1.0f;
        if constexpr (V::kDecay == Decay::scalar)
          decay = exp2(scalarGate[token] * kLog2E);
        if constexpr (V::kDecay == Decay::keys)
          decay = inside ? exp2(toFloat(gate[token * V::kPitchGate + d]) * kLog2E) : 1.0f;
        if constexpr (V::kReadsBefore)
          sum += q * state[i];
        state[i] = state[i] * decay + k;
        if constexpr (!V::kReadsBefore)
          sum += q * state[i];
      }
      reads[t] = sum;
    }
    float total = warpSum16(reads, lane);
    if (lane < 16)
      parts[warp * V::kBlock + group * 16 + lane] = total;
  }
}
