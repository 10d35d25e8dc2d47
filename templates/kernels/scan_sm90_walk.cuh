// The walk by single chunks in the form for sm_90a (scan_sm90.cuh): the tensor cores read the state
// for a chunk while the output of the chunk before is written.

template <class V>
__device__ __forceinline__ void HopperScan<V>::addInPlace(float (&out)[8][4],
                                                          float (&state)[kKeyPanels][8][4],
                                                          int stage, int buffer, int group) const {
  const uint32 v = sharedAddress(value(stage) + group * kPanel);
  const uint32 p = sharedAddress(scores(buffer, ownOf(group))), k = sharedAddress(key(stage));
  wgmmaFence();
#pragma unroll
  for (int step = 0; step < V::kChunk / 16; ++step)
    wgmmaTransposed<Along::contraction>(Element{}, out, panelDescriptor(v, step * 2 * kPanelGroup),
                                        panelDescriptor(p, step * 32));
  wgmmaCommit();
#pragma unroll
  for (int step = 0; step < V::kChunk / 16; ++step)
#pragma unroll
    for (int panel = 0; panel < kKeyPanels; ++panel)
      wgmmaTransposed<Along::columns>(Element{}, state[panel],
                                      panelDescriptor(v, step * 2 * kPanelGroup),
                                      panelDescriptor(k, panel * kPanel + step * 2 * kPanelGroup));
  wgmmaCommit();
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::walk(float (&state)[kKeyPanels][8][4], int group) {
  float out[8][4];
  readState(out, state, 0);
#pragma unroll 1
  for (int walked = 0; walked < segment.chunks; ++walked) {
    int stage = (segment.swept + walked) % V::kStages, buffer = walked % V::kScoreBuffers;
    FragmentA v[V::kChunk / 16], decayed[V::kChunk / 16];
    // With one panel of keys ptxas would else put a wait behind every wgmma.
    if constexpr (kKeyPanels == 1)
      wgmmaWait<0>();
    if constexpr (kValuesInPlace) {
      wgmmaWait<0>();
      addInPlace(out, state, stage, buffer, group);
    } else {
      loadValues(v, stage, group);
#pragma unroll
      for (int step = 0; step < V::kChunk / 16; ++step)
        decayed[step] = v[step];
      scaleValues(decayed, stage, group);
      decayState(state, stage, group);
      wgmmaWait<0>();
      decayRead(out, stage, group);
      addScores(out, v, buffer, group);
      addChunk(state, decayed, stage);
    }
    wgmmaWait<1>();
    if constexpr (kValuesInPlace && V::kValuesInOutput)
      loadValues(v, stage, group);
    uint32 packed[8][2];
    finishOutput(packed, out, v, stage, buffer, group);
    arriveWarp(consumed(buffer));
    wgmmaWait<0>();
    arriveWarp(empty(stage));
    readState(out, state, walked + 1);
    const int chunk = segment.chunk(segment.swept + walked);
    writeOutput(packed, chunk, group);
    if constexpr (V::kSums > 0)
      writeSums(chunk, buffer, group);
  }
  wgmmaWait<0>();
}
