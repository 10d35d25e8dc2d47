// The walk by two chunks at once in the form for sm_90a (scan_sm90.cuh): the state is read for
// both, then takes both, so that what waits for it does so half as often. With S the state before
// them, G and H their cumulative log-decays, and P_21 the later queries' scores of the earlier
// keys,
//   O_1^T = S^T Q_1^T e^G + V_1^T P_11^T
//   O_2^T = S^T Q_2^T e^{G_C + H} + V_1^T P_21^T + V_2^T P_22^T
//   S^T <- e^{G_C + H_C} S^T + V_1^T (e^{G_C - G + H_C} K_1) + V_2^T (e^{H_C - H} K_2).

template <class V>
__device__ __forceinline__ void HopperScan<V>::walkDouble(float (&state)[kKeyPanels][8][4],
                                                          int group) {
  constexpr int kSteps = V::kChunk / 16;
  float out[2][8][4];
  // The values' part of a stage is free when what took its place has been read.
  auto releaseValues = [&](int walked) {
    if (warp == 0 && lane == 0)
      waitBoxesRead<0>();
    for (int which = 0; which < 2; ++which)
      arriveWarp(emptyOfValues((segment.swept + walked + which) % V::kStages));
  };
#pragma unroll 1
  for (int walked = 0; walked < segment.chunks; walked += 2) {
    const int first = (segment.swept + walked) % V::kStages;
    const int stages[2] = {first, (first + 1) % V::kStages};
    const int buffer = walked / 2 % V::kScoreBuffers;
    const int parity = walked / 2 / V::kScoreBuffers & 1;
    {
      FragmentA rounded[V::kK / 16];
#pragma unroll
      for (int step = 0; step < V::kK / 16; ++step)
        rounded[step] = F::fromAccumulator(state[step / 4], step % 4);
      // The next chunks may need the room.
      if (walked > 0)
        releaseValues(walked - 2);
#pragma unroll
      for (int which = 0; which < 2; ++which) {
        scored(buffer, which).wait(parity);
        const uint32 q = sharedAddress(query(stages[which]));
        wgmmaFence();
#pragma unroll
        for (int step = 0; step < V::kK / 16; ++step)
          wgmma<Along::contraction>(Element{}, out[which], rounded[step],
                                    panelDescriptor(q, step / 4 * kPanel + step % 4 * 32),
                                    step > 0);
        wgmmaCommit();
      }
    }
    float total[2] = {1.0f, 1.0f};
    if constexpr (V::kDecay == Decay::scalar)
#pragma unroll
      for (int which = 0; which < 2; ++which) {
        total[which] = factors(stages[which], ownOf(group)).total;
        decayState(state, stages[which], group);
      }
    wgmmaWait<0>();
    decayRead(out[0], stages[0], group);
    decayRead(out[1], stages[1], group, total[0]);
    wgmmaFence();
#pragma unroll
    for (int tile = 0; tile < kScoreTiles; ++tile) {
      const int later = tile > 0, earlier = tile > 1;
      const uint32 v = sharedAddress(value(stages[earlier]) + group * kPanel);
      const uint32 p = sharedAddress(scores(buffer, ownOf(group), tile));
#pragma unroll
      for (int step = 0; step < kSteps; ++step)
        wgmmaTransposed<Along::contraction>(Element{}, out[later],
                                            panelDescriptor(v, step * 2 * kPanelGroup),
                                            panelDescriptor(p, step * 32));
    }
    wgmmaCommit();
    FragmentA decayed[2][kSteps];
#pragma unroll
    for (int which = 0; which < 2; ++which) {
      loadValues(decayed[which], stages[which], group);
      scaleValues(decayed[which], stages[which], group, which == 0 ? total[1] : 1.0f);
      addChunk(state, decayed[which], stages[which]);
    }
    wgmmaWait<2>();
    uint32 packed[2][8][2];
#pragma unroll
    for (int which = 0; which < 2; ++which) {
      FragmentA v[kSteps];
      if constexpr (V::kValuesInOutput)
        loadValues(v, stages[which], group);
      finishOutput(packed[which], out[which], v, stages[which], which, group);
    }
    arriveWarp(consumed(buffer));
    // All warps have read the values.
    syncWarpgroup(kOutputBarrier + group);
#pragma unroll
    for (int which = 0; which < 2; ++which)
      stageOutput(value(stages[which]) + group * kPanel, packed[which]);
    fenceAsyncProxy();
    syncWarpgroup(kOutputBarrier + group);
#pragma unroll
    for (int which = 0; which < 2; ++which)
      storeOutput(value(stages[which]) + group * kPanel, segment.first + walked + which, group);
    wgmmaWait<0>();
    for (int stage : stages)
      arriveWarp(empty(stage));
  }
}
