// The warpgroup of the scores in the form for sm_90a (scan_sm90.cuh).

template <class V> __device__ __forceinline__ void HopperScan<V>::mapRows(int chunk, int stage) {
  constexpr int kRowsAtOnce = 32 / V::kRowLanes;
  int firstToken = chunk * V::kChunk;
#pragma unroll 2
  for (int first = warp * kRowsAtOnce; first < V::kChunk; first += 4 * kRowsAtOnce) {
    int token = first + lane / V::kRowLanes;
    V::rowProgram(args, shared, stage, token, firstToken + token < sequence.tokens, tile, sequence,
                  head, firstToken, lane);
  }
  fenceAsyncProxy();
  syncWarpgroup<kScoreBarrier>();
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::sweepTiles(HopperNormaliser<V>& normaliser) {
#pragma unroll 1
  for (int round = 0; round < segment.swept; ++round) {
    int stage = round % V::kStages;
    full(stage).wait(round / V::kStages & 1);
    if constexpr (V::kRowProgram) {
      mapRows(segment.chunk(round), stage);
      arriveWarp(mapped(stage));
    }
    if constexpr (V::kNormaliser)
      normaliser.sweep(key(stage), factors(stage), round == 0);
    arriveWarp(empty(stage));
  }
}

template <class V> __device__ __forceinline__ void HopperScan<V>::computeScores() {
  int row = warp * 16 + lane / 4, column = lane % 4 * 2;
  HopperNormaliser<V> normaliser(shared);
  const States states{segment, static_cast<char*>(args.workspace), unit, warp * 32 + lane, lane};
  sweepTiles(normaliser);
  if constexpr (V::kNormaliser)
    normaliser.find(V::template initialState<1>(args, sequence, head), states);
#pragma unroll 1
  for (int walked = 0; walked < segment.chunks; ++walked) {
    int round = segment.swept + walked, stage = round % V::kStages;
    int buffer = walked % kScoreBuffers;
    full(stage).wait(round / V::kStages & 1);
    if constexpr (V::kRowProgram)
      mapRows(segment.chunk(round), stage);
    else
      fenceAsyncProxy();
    uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(stage));
    const Factors<V::kChunk>& factor = factors(stage);
    float sum[8][4];
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < V::kK / 16; ++step) {
      int offset = step / 4 * kPanel + step % 4 * 32;
      wgmma(Element{}, sum, panelDescriptor(q + offset), panelDescriptor(k + offset), step > 0);
    }
    wgmmaCommit();
    if constexpr (V::kNormaliser)
      normaliser.readTiles(query(stage), key(stage), factor);
    float2 after[8], own[8];
    float upper = factor.cumulative[row], lower = factor.cumulative[row + 8];
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      after[n] = *reinterpret_cast<const float2*>(factor.cumulative + n * 8 + column);
      own[n] = *reinterpret_cast<const float2*>(factor.own + n * 8 + column);
    }
    consumed(buffer).wait(~(walked / kScoreBuffers) & 1);
    wgmmaWait<0>();
    arriveWarp(empty(stage));
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      int j = n * 8 + column;
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int i = row + e / 2 * 8;
        bool seen = j + e % 2 <= i;
        if constexpr (V::kDecay == Decay::scalar)
          sum[n][e] *= exp2((e / 2 ? lower : upper) - (e % 2 ? after[n].y : after[n].x));
        if constexpr (V::kKeyFactor)
          sum[n][e] *= e % 2 ? own[n].y : own[n].x;
        sum[n][e] = seen ? sum[n][e] : 0.0f;
      }
    }
    if constexpr (V::kNormaliser)
      normaliser.finish(sum, buffer);
#pragma unroll
    for (int n = 0; n < 8; n += 2)
      storeMatrix4(scores(buffer) + panelOffset(warp * 16 + lane % 16, n + lane / 16),
                   pack<Element>(sum[n][0], sum[n][1]), pack<Element>(sum[n][2], sum[n][3]),
                   pack<Element>(sum[n + 1][0], sum[n + 1][1]),
                   pack<Element>(sum[n + 1][2], sum[n + 1][3]));
    fenceAsyncProxy();
    arriveWarp(scored(buffer));
  }
  if constexpr (V::kNormaliser) {
    if (!segment.last())
      return;
    if (segment.count > 1)
      states.awaitOthers();
    if (tile == 0)
      normaliser.store(V::template finalState<1>(args, sequence, head));
    if (segment.count > 1)
      states.close();
  }
}
