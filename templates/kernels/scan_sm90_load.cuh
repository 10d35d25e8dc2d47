// The warps of the form for sm_90a that bring a chunk to shared memory (scan_sm90.cuh).

/// How one warp copies an operand of HEADS heads, from column `column` on, of which `exists` are
/// there, to byte `offset` of a stage; rows behind the last token become zeros. The copy engine
/// takes whole chunks of tensors that have a map.
template <class V> template <int COLUMNS, int HEADS> struct HopperScan<V>::StageCopy {
  static constexpr int kPanels = (COLUMNS + kPanelColumns - 1) / kPanelColumns;

  const HopperScan& scan;
  const Tensor& tensor;
  const int operand, column, offset, exists;
  int heads[HEADS];  ///< Of the tensor, that are those of the block.
  const bool sweeps, boxed;

  __device__ __forceinline__ StageCopy(const HopperScan& scan, const Tensor& tensor, int operand,
                                       int column, int offset, int exists, bool sweeps)
      : scan(scan), tensor(tensor), operand(operand), column(column), offset(offset),
        exists(exists), sweeps(sweeps), boxed(scan.args.mapped >> operand & 1) {
#pragma unroll
    for (int i = 0; i < HEADS; ++i)
      heads[i] = quotient(scan.firstHead + i, tensor.headGroup, tensor.inner);
  }

  /// Whether a round copies it, and by the copy engine.
  __device__ __forceinline__ bool copies(int round) const {
    return sweeps || round >= scan.segment.swept;
  }
  __device__ __forceinline__ bool byEngine(int round) const {
    return boxed && (scan.segment.chunk(round) + 1) * V::kChunk <= scan.sequence.tokens;
  }

  /// What a round needs of it; every lane arrives at the stage's barrier.
  __device__ __forceinline__ void issue(int round) const {
    const int stage = round % V::kStages, firstToken = scan.segment.chunk(round) * V::kChunk;
    char* tile = scan.shared + stage * V::kStageBytes + offset;
    Barrier full = scan.full(stage);
    if (!copies(round)) {
      full.arrive();
    } else if (byEngine(round)) {
      if (scan.lane == 0) {
        full.expect(kPanels * kPanel);
#pragma unroll
        for (int i = 0; i < kPanels; ++i)
          copyBox(scan.args.maps[operand], tile + i * kPanel, full,
                  HEADS > 1 ? column : column + i * kPanelColumns,
                  int(scan.sequence.first) + firstToken, heads[HEADS > 1 ? i : 0],
                  scan.sequence.batch);
        full.arrive(32);
      }
    } else {
      copyRows(tile, firstToken, full);
    }
  }

  /// By all lanes; of several heads each has a panel, and a lane copies columns of one. Where its
  /// rows begin is worked out anew, as the engine's copies leave no registers for it.
  __device__ __forceinline__ void copyRows(char* tile, int firstToken, Barrier full) const {
    const int lane = opaque(scan.lane), own = HEADS > 1 ? lane % (COLUMNS / 8) / 8 : 0;
    const PanelCopy<Element, V::kChunk, COLUMNS> copy(
        tensor, scan.sequence, opaque(scan.firstHead) + own, opaque(column) - own * kPanelColumns,
        lane, exists);
    copy.issue(tile, firstToken, scan.sequence.tokens - firstToken, full);
  }
};

template <class V>
template <bool KEYS>
__device__ __forceinline__ void HopperScan<V>::copyQueries() {
  const StageCopy<V::kK, 1> queries(*this, V::copied(args, 0), 0, 0, 0, V::kK, false);
  const StageCopy<V::kK, 1> keys(*this, V::copied(args, 1), 1, 0, kKeyTile, V::kK, true);
  eachRound([&](int round) {
    empty(round % V::kStages).wait(~(round / V::kStages) & 1);
    queries.issue(round);
    if constexpr (KEYS)
      keys.issue(round);
  });
}

template <class V> __device__ __forceinline__ void HopperScan<V>::copyKeys() {
  const StageCopy<V::kK, 1> keys(*this, V::copied(args, 1), 1, 0, kKeyTile, V::kK, true);
  eachRound([&](int round) {
    empty(round % V::kStages).wait(~(round / V::kStages) & 1);
    keys.issue(round);
  });
}

template <class V> __device__ __forceinline__ void HopperScan<V>::copyValues() {
  const int column = tile * V::kBlockV, exists = V::kV * kHeads - column;
  const StageCopy<V::kBlockV, kHeads> values(*this, V::copied(args, 2), 2, column, 2 * kKeyTile,
                                             exists, true);
  const StageCopy<V::kBlockV, kHeads> gates(*this, V::copied(args, V::kOutputGate ? kGateMap : 2),
                                            kGateMap, column, V::kOutputGateOffset, exists, false);
  eachRound([&](int round) {
    const int stage = round % V::kStages, parity = ~(round / V::kStages) & 1;
    emptyOfValues(stage).wait(parity);
    values.issue(round);
    if constexpr (V::kOutputGate) {
      empty(stage).wait(parity);
      gates.issue(round);
    }
  });
}

template <class V>
__device__ __forceinline__ void
HopperScan<V>::computeFactorsOf(typename V::Inputs (&inputs)[2], const typename V::Params& params,
                                int round, int stage, int own, float& behind) {
  float gate[2], factor[2], ofRow[2] = {1.0f, 1.0f};
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
    if constexpr (V::kRowFactor)
      ofRow[i] = V::rowFactor(args, slot);
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
    put(out.entry, ofRow[0] * exp2(total - first), ofRow[1] * exp2(total - sum));
    put(out.exit, factor[0] * exp2(first + behind), factor[1] * exp2(sum + behind));
  } else {
    put(out.cumulative, first, sum);
    put(out.entry, ofRow[0] * exp2(first), ofRow[1] * exp2(sum));
    put(out.exit, factor[0] * exp2(total - first + behind), factor[1] * exp2(total - sum + behind));
  }
  put(out.own, factor[0], factor[1]);
  if (lane == 0)
    out.total = exp2(total + behind);
  behind += total;
}

template <class V> __device__ __forceinline__ void HopperScan<V>::computeFactors(int own) {
  // With every multiprocessor copying, memory answers after several chunks.
  constexpr int kAhead = V::kStages;
  typename V::Inputs inputs[kAhead][2];
  typename V::Params params;
  params.load(args, firstHead + own);
  // The decay over the chunks that the sweep has seen, which are later ones.
  float behind = 0.0f;
  auto load = [&](typename V::Inputs(&to)[2], int round) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int token = segment.chunk(round) * V::kChunk + lane * 2 + i;
      to[i].load(args, sequence, firstHead + own, token,
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
      computeFactorsOf(inputs[stage], params, round, stage, own, behind);
      arriveWarp(full(stage));
      // Behind the arrival, which would otherwise wait for what is loaded here.
      if (round + kAhead < segment.rounds())
        load(inputs[stage], round + kAhead);
    }
}
