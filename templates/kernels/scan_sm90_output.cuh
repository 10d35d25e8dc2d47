// How the warpgroups of the state write the output in the form for sm_90a (scan_sm90.cuh).

template <class V>
__device__ __forceinline__ void
HopperScan<V>::finishOutput(uint32 (&packed)[8][2], const float (&read)[8][4],
                            const FragmentA (&values)[V::kChunk / 16], int stage, int buffer,
                            int group) const {
  const float* scalars = slots(stage, ownOf(group));
  const float* sums = HopperNormaliser<V>(shared).reads(buffer);
  const uint32 gates =
      V::kOutputGate ? columnsAddress(query(stage) + V::kOutputGateOffset + group * kPanel) : 0;
  FragmentA gate;  // Of 16 tokens at a time: all find no room.
  float sum[V::kSums > 0 ? V::kSums : 1][8][2] = {};
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    if constexpr (V::kOutputGate)
      if (n % 2 == 0)
        loadColumns(gate, gates, n / 2);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float y[2];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        // The fragments of the values hold what the accumulators do.
        auto element = [&](const FragmentA& from) {
          return toFloat(Element{uint16(from.r[n % 2 * 2 + half] >> e * 16)});
        };
        int token = n * 8 + lane % 4 * 2 + e;
        const float value = V::kValuesInOutput ? element(values[n / 2]) : 0.0f;
        const float ofGate = V::kOutputGate ? element(gate) : 0.0f;
        y[e] = V::finish(args, scalars + token, value, read[n][half * 2 + e],
                         V::kNormaliser ? sums[token] : 0.0f, ofGate);
        if constexpr (V::kSums > 0)
          V::addSums(args, scalars + token, value, read[n][half * 2 + e], ofGate,
                     [&](int index, float x) { sum[index][n][e] += x; });
      }
      packed[n][half] = pack<typename V::template Output<0>>(y[0], y[1]);
    }
  }
  if constexpr (V::kSums > 0)
#pragma unroll
    for (int i = 0; i < V::kSums; ++i)
      gatherSums(sum[i], sumsOf(buffer, i, group * 4 + warp));
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::writeOutput(const uint32 (&packed)[8][2], int chunk,
                                                           int group) const {
  char* room = shared + V::kOutputOffset + group * kPanel;
  if (warp == 0 && lane == 0)
    waitBoxesRead<0>();
  syncWarpgroup(kOutputBarrier + group);
  stageOutput(room, packed);
  if (outputByEngine(chunk))
    fenceAsyncProxy();
  syncWarpgroup(kOutputBarrier + group);
  storeOutput(room, chunk, group);
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::stageOutput(char* room,
                                                           const uint32 (&packed)[8][2]) const {
  const uint32 first = columnsAddress(room);
#pragma unroll
  for (int n = 0; n < 8; n += 2)
    storeMatrix4Transposed(first + n * kPanelGroup, packed[n][0], packed[n][1], packed[n + 1][0],
                           packed[n + 1][1]);
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::storeOutput(const char* room, int chunk,
                                                           int group) const {
  const int firstToken = chunk * V::kChunk;
  if (!outputByEngine(chunk)) {
    writeRows(room, firstToken, group);
  } else if (warp == 0 && lane == 0) {
    storeBox(args.maps[kOutputMap], room, columnOf(group), int(sequence.first) + firstToken,
             headOf(group), sequence.batch);
    commitBoxes();
  }
}

template <class V>
__device__ __forceinline__ void HopperScan<V>::writeRows(const char* room, int firstToken,
                                                         int group) const {
  using Out = typename V::template Output<0>;
  const Tensor& tensor = V::template outputTensor<0>(args);
  const bool aligned = rowAlignment<Out>(tensor) == 16;
  const int column = columnOf(group), thread = warp * 32 + lane;
  // A thread writes the same eight columns of every sixteenth token.
  const int piece = thread % 8;
  if (column + piece * 8 >= V::kV)
    return;
  Out* to = tensor.template at<Out>(sequence, headOf(group)) + column + piece * 8 +
            (int64(firstToken) + thread / 8) * tensor.stride(sequence);
#pragma unroll 1
  for (int token = thread / 8; token < min(V::kChunk, sequence.tokens - firstToken); token += 16) {
    uint4 packed = *reinterpret_cast<const uint4*>(room + panelOffset(token, piece));
    if (aligned) {
      storeGlobal16(to, packed);
    } else {
      const uint32 words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
      for (int w = 0; w < 8; ++w)
        to[w] = Out{uint16(words[w / 2] >> w % 2 * 16)};
    }
    to += 16 * tensor.stride(sequence);
  }
}
