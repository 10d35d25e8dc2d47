// The warps of the form for sm_90a that bring a chunk to shared memory (scan_sm90.cuh).

template <class V>
template <int COLUMNS>
__device__ __forceinline__ void HopperScan<V>::copyOperand(const Tensor& tensor, int column,
                                                           int offset, int exists, bool sweeps) {
  PanelCopy<Element, V::kChunk, COLUMNS> copy(tensor, sequence, head, column, lane, exists);
#pragma unroll 1
  for (int round = 0; round < segment.rounds(); ++round) {
    int stage = round % V::kStages, firstToken = segment.chunk(round) * V::kChunk;
    empty(stage).wait(~(round / V::kStages) & 1);
    if (round < segment.swept && !sweeps)
      full(stage).arrive();
    else
      copy.issue(shared + stage * V::kStageBytes + offset, firstToken, sequence.tokens - firstToken,
                 full(stage));
  }
}

template <class V> __device__ __forceinline__ void HopperScan<V>::computeFactors() {
  // With every multiprocessor copying, memory answers after several chunks.
  constexpr int kAhead = V::kStages;
  typename V::Inputs inputs[kAhead][2];
  typename V::Params params;
  params.load(args, head);
  auto load = [&](typename V::Inputs(&to)[2], int round) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int token = segment.chunk(round) * V::kChunk + lane * 2 + i;
      to[i].load(args, sequence, head, token, round < segment.rounds() && token < sequence.tokens);
    }
  };
#pragma unroll
  for (int i = 0; i < kAhead; ++i)
    load(inputs[i], i);
  float behind = 0;  // The decay over the chunks that the sweep has seen, which are later ones.
#pragma unroll 1
  for (int base = 0; base < segment.rounds(); base += kAhead)
#pragma unroll
    for (int stage = 0; stage < kAhead; ++stage) {
      int round = base + stage;
      if (round >= segment.rounds())
        break;
      empty(stage).wait(~(round / V::kStages) & 1);
      float gate[2], own[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        int position = segment.chunk(round) * V::kChunk + lane * 2 + i;
        float* slot = slots(stage) + lane * 2 + i;
        V::scalarProgram(args, inputs[stage][i], params, slot, head, position,
                         position < sequence.tokens);
        gate[i] = V::kDecay == Decay::scalar && position < sequence.tokens
                      ? V::logDecay(args, slot) * kLog2E
                      : 0.0f;
        own[i] = V::keyFactor(args, slot);
      }
      float sum = gate[0] + gate[1];
#pragma unroll
      for (int offset = 1; offset < 32; offset *= 2) {
        float before = __shfl_up_sync(~0u, sum, offset);
        sum += lane >= offset ? before : 0.0f;
      }
      float total = __shfl_sync(~0u, sum, 31), first = sum - gate[1];
      if (round >= segment.swept)
        behind = 0;
      Factors<V::kChunk>& out = factors(stage);
      auto put = [&](float(&row)[V::kChunk], float a, float b) {
        *reinterpret_cast<float2*>(row + lane * 2) = make_float2(a, b);
      };
      put(out.cumulative, first, sum);
      put(out.entry, exp2(first), exp2(sum));
      put(out.exit, own[0] * exp2(total - first + behind), own[1] * exp2(total - sum + behind));
      put(out.own, own[0], own[1]);
      if (lane == 0)
        out.total = exp2(total + behind);
      behind += total;
      arriveWarp(full(stage));
      // Behind the arrival, which would otherwise wait for what is loaded here.
      load(inputs[stage], round + kAhead);
    }
}
