// The state at the start of a segment in the form for sm_90a (scan_sm90.cuh): that of the sequence,
// and what the segments before make of zero (segments.cuh).

template <class V>
__device__ __forceinline__ float HopperScan<V>::sweep(float (&state)[kKeyPanels][8][4], int group) {
  float decay = 1;
#pragma unroll 1
  for (int round = 0; round < segment.swept; ++round) {
    int stage = round % V::kStages;
    if constexpr (V::kRowProgram)
      mapped(stage).wait(round / V::kStages & 1);
    else
      full(stage).wait(round / V::kStages & 1);
    if (!V::kRowProgram && !byEngine(round))
      fenceAsyncProxy();
    FragmentA v[V::kChunk / 16];
    loadValues(v, stage, group);
    scaleValues(v, stage, group);
    decay = factors(stage, ownOf(group)).total;
    addChunk(state, v, stage);
    wgmmaWait<0>();
    arriveWarp(empty(stage));
    if constexpr (kTogether > 1)
      arriveWarp(emptyOfValues(stage));
  }
  return decay;
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::findState(float (&state)[kKeyPanels][8][4],
                                                         int group, const States& states) {
  if (!segment.last()) {
    eachElement(state, warp, lane, [](int, int, float& s) { s = 0.0f; });
    float decay = sweep(state, group);
    states.share(state, decay);
  }
  // Also what does not exist: ptxas would not keep wgmma going on what nothing ever wrote.
  eachElement(state, warp, lane, [](int, int, float& s) { s = 0.0f; });
  // Around all of it, as even what is skipped one by one has to be fetched: 1 us.
  if (const auto initial = V::template initialState<0>(args, sequence, headOf(group)))
    eachStoredElement(initial, state, group,
                      [&](const StateElement& element, float& s) { s = toFloat(element); });
  if (segment.joined == 0)
    return;
  states.awaitEarlier();
  // A lane has the decays over two segments, so that none is waited for in turn.
  auto decayOf = [&](int index) {
    return index < segment.joined ? loadFresh(states.decay(index)) : 1.0f;
  };
  const float low = decayOf(lane), high = decayOf(lane + 32);
  // Beside a state of four panels one finds room.
  states.template joinShared<kKeyPanels <= 2 ? 2 : 1>(state, [&](int index) {
    const float total = __shfl_sync(~0u, index < 32 ? low : high, index % 32);
    return [=](int) { return make_float4(total, total, total, total); };
  });
}

template <class V> __device__ __forceinline__ void HopperScan<V>::advance(int group) {
  float state[kKeyPanels][8][4];
  const States states{segment, static_cast<char*>(args.workspace), unit,
                      group * 128 + warp * 32 + lane, lane};
  findState(state, group, states);
  if constexpr (kTogether > 1)
    walkDouble(state, group);
  else
    walk(state, group);
  if (warp == 0 && lane == 0)
    waitBoxes<0>();
  if (!segment.last()) {
    states.leave();
    return;
  }
  if (segment.count > 1)
    states.awaitOthers();
  if (auto last = V::template finalState<0>(args, sequence, headOf(group)))
    eachStoredElement(last, state, group, [&](StateElement& element, float& s) {
      element = fromFloat<StateElement>(s);
    });
  if (segment.count > 1)
    states.close();
}
