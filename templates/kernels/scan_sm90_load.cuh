// The warps of the form for sm_90a that bring a chunk to shared memory, and rows of the output that
// are no whole chunk (scan_sm90.cuh).

template <class V>
template <int PANELS, int HEADS>
__device__ __forceinline__ void HopperScan<V>::copyOperand(int operand, int column, int offset,
                                                           bool sweeps) {
  const Tensor& tensor = V::copied(args, operand);
  constexpr int kPieces = PANELS * 8, kRowsAtOnce = 32 / kPieces;
  constexpr int kPanelsOfHead = PANELS / HEADS;
  bool aligned = rowAlignment<Element>(tensor) == 16, mapped = args.mapped >> operand & 1;
  int piece = lane % kPieces, firstRow = lane / kPieces;
  const Element* source =
      tensor.template at<const Element>(sequence, firstHead + piece / 8 / kPanelsOfHead) + column +
      piece % (kPanelsOfHead * 8) * 8;
  int64 step = kRowsAtOnce * tensor.token;
#pragma unroll 1
  for (int round = 0; round < segment.rounds(); ++round) {
    int stage = round % V::kStages, chunk = segment.chunk(round);
    int rows = sequence.tokens - chunk * V::kChunk;
    char* panel = shared + stage * V::kStageBytes + offset + piece / 8 * kPanel;
    const Element* from = source + (int64(chunk) * V::kChunk + firstRow) * tensor.token;
    empty(stage).wait(~(round / V::kStages) & 1);
    if (round < segment.swept && !sweeps) {
      full(stage).arrive();
    } else if (mapped && rows >= V::kChunk) {
      if (lane == 0) {
        full(stage).expect(PANELS * kPanel);
#pragma unroll
        for (int i = 0; i < PANELS; ++i)
          copyBox(args.maps[operand], shared + stage * V::kStageBytes + offset + i * kPanel,
                  full(stage), column + i % kPanelsOfHead * kPanelColumns,
                  int(sequence.first) + chunk * V::kChunk,
                  (firstHead + i / kPanelsOfHead) / tensor.headGroup, sequence.batch);
        full(stage).arrive(32);
      }
    } else if (aligned && rows >= V::kChunk) {
#pragma unroll 4
      for (int i = 0; i < V::kChunk / kRowsAtOnce; ++i, from += step)
        copyAsync16(panel + panelOffset(firstRow + i * kRowsAtOnce, piece % 8), from);
      full(stage).arriveAfterCopies();
    } else if (aligned) {
#pragma unroll 1
      for (int row = firstRow; row < V::kChunk; row += kRowsAtOnce, from += step)
        copyAsync<16>(panel + panelOffset(row, piece % 8), row < rows ? from : source,
                      row < rows ? 16 : 0);
      full(stage).arriveAfterCopies();
    } else {
#pragma unroll 1
      for (int row = firstRow; row < V::kChunk; row += kRowsAtOnce, from += step) {
        Element* to = reinterpret_cast<Element*>(panel + panelOffset(row, piece % 8));
#pragma unroll
        for (int i = 0; i < 8; ++i)
          to[i] = row < rows ? from[i] : fromFloat<Element>(0.0f);
      }
      full(stage).arrive();
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
  put(out.cumulative, first, sum);
  put(out.entry, exp2(first), exp2(sum));
  put(out.exit, factor[0] * exp2(total - first + behind), factor[1] * exp2(total - sum + behind));
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

template <class V>
__device__ __forceinline__ void HopperScan<V>::writeRows(const char* room, int firstToken, int rows,
                                                         int head, int column) const {
  using Out = typename V::template Output<0>;
  const Tensor& tensor = V::template outputTensor<0>(args);
  bool aligned = rowAlignment<Out>(tensor) == 16;
#pragma unroll 1
  for (int i = warp * 32 + lane; i < V::kChunk * 8; i += 128) {
    int token = i / 8;
    if (token >= rows)
      break;
    uint4 piece = *reinterpret_cast<const uint4*>(room + panelOffset(token, i % 8));
    Out* to = tensor.template at<Out>(sequence, head) + (int64(firstToken) + token) * tensor.token +
              column + i % 8 * 8;
    if (aligned) {
      storeGlobal16(to, piece);
    } else {
      const uint32 words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
      for (int w = 0; w < 8; ++w)
        to[w] = Out{uint16(words[w / 2] >> w % 2 * 16)};
    }
  }
}
