// The warps of the form for sm_90a that bring a chunk to shared memory (scan_sm90.cuh).

template <class V>
template <int COLUMNS, int HEADS>
__device__ __forceinline__ void HopperScan<V>::copyOperand(int operand, int column, int offset,
                                                           int exists, bool sweeps) {
  constexpr int kPanels = (COLUMNS + kPanelColumns - 1) / kPanelColumns;
  const Tensor& tensor = V::copied(args, operand);
  const bool boxed = args.mapped >> operand & 1;
  // Of several heads each has a panel, and a lane copies columns of one.
  const int own = HEADS > 1 ? lane % (COLUMNS / 8) / 8 : 0;
  PanelCopy<Element, V::kChunk, COLUMNS> copy(tensor, sequence, firstHead + own,
                                              column - own * kPanelColumns, lane, exists);
#pragma unroll 1
  for (int round = 0; round < segment.rounds(); ++round) {
    int stage = round % V::kStages, firstToken = segment.chunk(round) * V::kChunk;
    char* tile = shared + stage * V::kStageBytes + offset;
    empty(stage).wait(~(round / V::kStages) & 1);
    if (round < segment.swept && !sweeps) {
      full(stage).arrive();
    } else if (boxed && firstToken + V::kChunk <= sequence.tokens) {
      if (lane == 0) {
        full(stage).expect(kPanels * kPanel);
#pragma unroll
        for (int i = 0; i < kPanels; ++i)
          copyBox(args.maps[operand], tile + i * kPanel, full(stage),
                  HEADS > 1 ? column : column + i * kPanelColumns, int(sequence.first) + firstToken,
                  (firstHead + (HEADS > 1 ? i : 0)) / tensor.headGroup, sequence.batch);
        full(stage).arrive(32);
      }
    } else {
      copy.issue(tile, firstToken, sequence.tokens - firstToken, full(stage));
    }
  }
}

template <class V>
__device__ __forceinline__ void
HopperScan<V>::computeFactorsOf(typename V::Inputs (&inputs)[2], const typename V::Params& params,
                                int round, int stage, int own, float& behind) {
  float gate[2], factor[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    int position = segment.chunk(round) * V::kChunk + lane * 2 + i;
    float* slot = slots(stage, own) + lane * 2 + i;
    V::scalarProgram(args, inputs[i], params, slot, firstHead + own, position,
                     position < sequence.tokens);
    gate[i] = V::kDecay == Decay::scalar && position < sequence.tokens
                  ? V::logDecay(args, slot) * kLog2E
                  : 0.0f;
    factor[i] = V::keyFactor(args, slot);
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
  Factors<V::kChunk>& out = factors(stage, own);
  auto put = [&](float(&row)[V::kChunk], float a, float b) {
    *reinterpret_cast<float2*>(row + lane * 2) = make_float2(a, b);
  };
  if constexpr (V::kReverse) {
    put(out.cumulative, -first, -sum);
    put(out.entry, exp2(total - first), exp2(total - sum));
    put(out.exit, factor[0] * exp2(first + behind), factor[1] * exp2(sum + behind));
  } else {
    put(out.cumulative, first, sum);
    put(out.entry, exp2(first), exp2(sum));
    put(out.exit, factor[0] * exp2(total - first + behind), factor[1] * exp2(total - sum + behind));
  }
  put(out.own, factor[0], factor[1]);
  if (lane == 0)
    out.total = exp2(total + behind);
  behind += total;
}

template <class V> __device__ __forceinline__ void HopperScan<V>::computeFactors() {
  // With every multiprocessor copying, memory answers after several chunks.
  constexpr int kAhead = V::kStages;
  typename V::Inputs inputs[kAhead][kHeads][2];
  typename V::Params params[kHeads];
#pragma unroll
  for (int own = 0; own < kHeads; ++own)
    params[own].load(args, firstHead + own);
  // The decay over the chunks that the sweep has seen, which are later ones.
  float behind[kHeads] = {};
  auto load = [&](typename V::Inputs(&to)[kHeads][2], int round) {
#pragma unroll
    for (int own = 0; own < kHeads; ++own)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        int token = segment.chunk(round) * V::kChunk + lane * 2 + i;
        to[own][i].load(args, sequence, firstHead + own, token,
                        round < segment.rounds() && token < sequence.tokens);
      }
  };
#pragma unroll
  for (int i = 0; i < kAhead; ++i)
    load(inputs[i], i);
#pragma unroll 1
  for (int base = 0; base < segment.rounds(); base += kAhead)
#pragma unroll
    for (int stage = 0; stage < kAhead; ++stage) {
      int round = base + stage;
      if (round >= segment.rounds())
        break;
      empty(stage).wait(~(round / V::kStages) & 1);
#pragma unroll
      for (int own = 0; own < kHeads; ++own)
        computeFactorsOf(inputs[stage][own], params[own], round, stage, own, behind[own]);
      arriveWarp(full(stage));
      // Behind the arrival, which would otherwise wait for what is loaded here.
      if (round + kAhead < segment.rounds())
        load(inputs[stage], round + kAhead);
    }
}
