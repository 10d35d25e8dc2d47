// The warpgroup of the scores in the form for sm_90a (scan_sm90.cuh).

template <class V> __device__ __forceinline__ void HopperScan<V>::mapRows(int chunk, int stage) {
  constexpr int kRowsAtOnce = 32 / V::kRowLanes;
  int firstToken = chunk * V::kChunk;
#pragma unroll 2
  for (int first = warp * kRowsAtOnce; first < V::kChunk; first += 4 * kRowsAtOnce) {
    int token = first + lane / V::kRowLanes;
    V::rowProgram(args, shared, stage, token, firstToken + token < sequence.tokens, tile, sequence,
                  firstHead, firstToken, lane);
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
      normaliser.sweep(key(stage), factors(stage, 0), round == 0);
    arriveWarp(empty(stage));
  }
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::storeScores(char* tile,
                                                           const float (&score)[8][4]) const {
#pragma unroll
  for (int n = 0; n < 8; n += 2)
    storeMatrix4(tile + panelOffset(warp * 16 + lane % 16, n + lane / 16),
                 pack<Element>(score[n][0], score[n][1]), pack<Element>(score[n][2], score[n][3]),
                 pack<Element>(score[n + 1][0], score[n + 1][1]),
                 pack<Element>(score[n + 1][2], score[n + 1][3]));
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::scoreEarlier(int stage, int earlier, int buffer) {
  const int row = warp * 16 + lane / 4, column = lane % 4 * 2;
  const uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(earlier));
  float sum[8][4];
  wgmmaFence();
#pragma unroll
  for (int step = 0; step < V::kK / 16; ++step) {
    int offset = step / 4 * kPanel + step % 4 * 32;
    wgmma(Element{}, sum, panelDescriptor(q, offset), panelDescriptor(k, offset), step > 0);
  }
  wgmmaCommit();
  wgmmaWait<0>();
#pragma unroll
  for (int own = 0; own < kHeads; ++own) {
    const Factors<V::kChunk>&later = factors(stage, own), &before = factors(earlier, own);
    const float upper = later.entry[row], lower = later.entry[row + 8];
    float score[8][4];
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      float2 exit = *reinterpret_cast<const float2*>(before.exit + n * 8 + column);
#pragma unroll
      for (int e = 0; e < 4; ++e)
        score[n][e] = sum[n][e] * (e / 2 ? lower : upper) * (e % 2 ? exit.y : exit.x);
    }
    storeScores(scores(buffer, own, 1), score);
  }
  arriveWarp(empty(earlier));
}

template <class V> __device__ __forceinline__ void HopperScan<V>::computeScores() {
  int row = warp * 16 + lane / 4, column = lane % 4 * 2;
  HopperNormaliser<V> normaliser(shared);
  const States states{segment, static_cast<char*>(args.workspace), unit, warp * 32 + lane, lane};
  sweepTiles(normaliser);
  if constexpr (V::kNormaliser)
    normaliser.find(V::template initialState<1>(args, sequence, firstHead), states);
#pragma unroll 1
  for (int walked = 0; walked < segment.chunks; ++walked) {
    int round = segment.swept + walked, stage = round % V::kStages;
    int which = walked % kTogether, buffer = walked / kTogether % V::kScoreBuffers;
    auto consume = [&] {
      if (which == 0)
        consumed(buffer).wait(~(walked / kTogether / V::kScoreBuffers) & 1);
    };
    full(stage).wait(round / V::kStages & 1);
    if constexpr (V::kRowProgram)
      mapRows(segment.chunk(round), stage);
    else if (!byEngine(round))
      fenceAsyncProxy();
    uint32 q = sharedAddress(query(stage)), k = sharedAddress(key(stage));
    if (which > 0)
      scoreEarlier(stage, (round - 1) % V::kStages, buffer);
    float sum[8][4];
    wgmmaFence();
#pragma unroll
    for (int step = 0; step < V::kK / 16; ++step) {
      int offset = step / 4 * kPanel + step % 4 * 32;
      wgmma(Element{}, sum, panelDescriptor(q, offset), panelDescriptor(k, offset), step > 0);
    }
    wgmmaCommit();
    if constexpr (V::kNormaliser)
      normaliser.readTiles(query(stage), key(stage), factors(stage, 0));
    consume();
    wgmmaWait<0>();
#pragma unroll
    for (int own = 0; own < kHeads; ++own) {
      const Factors<V::kChunk>& from = factors(stage, own);
      const float upper = from.cumulative[row], lower = from.cumulative[row + 8];
      float ofUpper = 1.0f, ofLower = 1.0f;
      if constexpr (V::kRowFactor) {
        ofUpper = V::rowFactor(args, slots(stage, own) + row);
        ofLower = V::rowFactor(args, slots(stage, own) + row + 8);
      }
      float score[8][4];
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        const int j = n * 8 + column;
        const float2 after = *reinterpret_cast<const float2*>(from.cumulative + j),
                     factor = *reinterpret_cast<const float2*>(from.own + j);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          int i = row + e / 2 * 8;
          bool seen = V::kReverse ? j + e % 2 >= i : j + e % 2 <= i;
          float x = sum[n][e];
          if constexpr (V::kDecay == Decay::scalar)
            x *= exp2((e / 2 ? lower : upper) - (e % 2 ? after.y : after.x));
          if constexpr (V::kKeyFactor)
            x *= e % 2 ? factor.y : factor.x;
          if constexpr (V::kRowFactor)
            x *= e / 2 ? ofLower : ofUpper;
          score[n][e] = seen ? x : 0.0f;
        }
      }
      if constexpr (V::kNormaliser)
        normaliser.finish(score, kTogether > 1 ? which : buffer);
      storeScores(scores(buffer, own, which * 2), score);
    }
    // The later chunk of two still needs the earlier one's keys.
    if (which + 1 == kTogether)
      arriveWarp(empty(stage));
    fenceAsyncProxy();
    arriveWarp(scored(buffer, which));
  }
  if constexpr (V::kNormaliser) {
    if (!segment.last())
      return;
    if (segment.count > 1)
      states.awaitOthers();
    if (tile == 0)
      normaliser.store(V::template finalState<1>(args, sequence, firstHead));
    if (segment.count > 1)
      states.close();
  }
}
