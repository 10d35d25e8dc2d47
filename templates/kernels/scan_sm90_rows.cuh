// Sums over the columns of V that the form for sm_90a puts out beside its rows (scan_sm90.cuh): of
// fp32 that is not rounded yet, in one fixed order. A block has all columns of its heads.

/// Adds up what eight lanes hold whose numbers differ in lane / 4; these keep one token pair each.
template <class V>
__device__ __forceinline__ void HopperScan<V>::gatherSums(float (&sum)[8][2], float* to) const {
#pragma unroll
  for (int bit = 4; bit > 0; bit /= 2) {
    const bool upper = lane / 4 & bit;
#pragma unroll
    for (int n = 0; n < bit; ++n)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const float given = upper ? sum[n][e] : sum[n + bit][e];
        const float own = upper ? sum[n + bit][e] : sum[n][e];
        sum[n][e] = own + __shfl_xor_sync(~0u, given, bit * 4);
      }
  }
  reinterpret_cast<float2*>(to)[lane] = make_float2(sum[0][0], sum[0][1]);
}

template <class V>
template <int SUM>
__device__ __forceinline__ void HopperScan<V>::writeSum(int thread, int chunk, int buffer,
                                                        int group) const {
  const int token = thread - SUM * V::kChunk, position = chunk * V::kChunk + token;
  if (token < 0 || token >= V::kChunk || position >= sequence.tokens)
    return;
  float sum = 0.0f;
#pragma unroll
  for (int row = 0; row < 4 * kGroupsOfHead; ++row)
    sum += sumsOf(buffer, SUM, ownOf(group) * kGroupsOfHead * 4 + row)[token];
  const Tensor& tensor = V::template outputTensor<1 + SUM>(args);
  tensor.template at<float>(sequence, headOf(group))[int64(position) * tensor.token] = sum;
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::writeSums(int chunk, int buffer, int group) const {
  // Two buffers in turns: who writes one again has met the others behind their reading of it.
  syncThreads(kSumBarrier + ownOf(group), 128 * kGroupsOfHead);
  const int thread = group % kGroupsOfHead * 128 + warp * 32 + lane;
  writeSum<0>(thread, chunk, buffer, group);
  if constexpr (V::kSums > 1)
    writeSum<1>(thread, chunk, buffer, group);
}
