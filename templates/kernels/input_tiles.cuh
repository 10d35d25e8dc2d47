// Scans on sm_90a whose inputs lie in a stage as the plan says (the kernels with a decay of every
// channel): the warps that copy them, and the warpgroups that map them.

/// A fragment of ones where `inside` holds for a row and a column, else of zeros.
template <class T, class Inside>
__device__ __forceinline__ FragmentA onesWhere(int lane, Inside inside) {
  FragmentA a;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    int row = lane / 4 + i % 2 * 8, column = lane % 4 * 2 + i / 2 * 8;
    a.r[i] = pack<T>(inside(row, column) ? 1.0f : 0.0f, inside(row, column + 1) ? 1.0f : 0.0f);
  }
  return a;
}

/// Rows as the columns of a B operand.
__device__ __forceinline__ FragmentB asColumns(const FragmentA& a) {
  return {{a.r[0], a.r[2], a.r[1], a.r[3]}};
}

template <class V> struct InputTiles : HopperScan<V> {
  using Base = HopperScan<V>;
  using Base::args;
  using Base::kKeyPanels;
  using Base::kPanel;
  using Base::lane;
  using Base::query;
  using Base::segment;
  using Base::sequence;
  using Base::shared;
  using Base::slots;
  using Base::tile;
  using Base::warp;
  /// A gate below it decays all to nothing; the sums of 16 stay among the whole numbers of f16.
  static constexpr float kLeastGate = -88.0f;
  static constexpr int kMapBarrier = 7;  ///< Of all warpgroups that map.
  const int head = Base::firstHead;

  /// Of the warpgroups that map, the one of this thread.
  __device__ __forceinline__ int mapGroup() const { return int(threadIdx.x) / 128 - 1; }

  /// Of a scan from each end: how many warps have written all that they write of the outputs, first
  /// of the one, then of the other, which reads what that has written. Heads share counters where
  /// there are too many of them.
  static constexpr int kCounters = Base::States::kHeadBytes / 4;
  __device__ __forceinline__ Counter written() const {
    const int first = Base::segments > 1 ? 2 * Base::units * Base::segments : 0;
    return {static_cast<uint32*>(args.workspace) + first + Base::unit % kCounters};
  }
  /// Of one of the two scans, those that a counter counts.
  __device__ __forceinline__ int writers() const {
    const int heads = (Base::units - Base::unit % kCounters + kCounters - 1) / kCounters;
    return heads * Base::segments * 4 * Base::kGroups;
  }
  __device__ __forceinline__ void awaitFirst() const { written().waitFor(writers()); }

  template <int I> using Input = typename V::template Input<I>;
  template <int I>
  using InputCopy = PanelCopy<typename Input<I>::Type, V::kChunk,
                              Input<I>::kOfKey ? kKeyPanels * kPanelColumns : V::kBlockV>;

  template <int I> __device__ __forceinline__ int firstColumn() const {
    return Input<I>::kOfKey ? 0 : tile * V::kBlockV;
  }
  template <int I> __device__ __forceinline__ InputCopy<I> inputCopy() const {
    const int exists = (Input<I>::kOfKey ? V::kK : V::kV) - firstColumn<I>();
    return {args.tensors[Input<I>::kTensor], sequence, head, firstColumn<I>(), lane, exists};
  }
  /// An input of one round, if it is needed; the copy engine takes whole chunks of tensors that
  /// have a map.
  template <int I>
  __device__ __forceinline__ void copyInput(const InputCopy<I>& copy, int round) const {
    using Of = Input<I>;
    const int stage = round % V::kStages, firstToken = segment.chunk(round) * V::kChunk;
    const Barrier full = Base::full(stage);
    char* tile = query(stage) + Of::kOffset;
    if (V::kMirrored && Of::kWritten && round == segment.swept)
      awaitFirst();
    if (round < segment.swept && !Of::kSwept) {
      full.arrive();
    } else if (!V::kMirrored && Of::kMap >= 0 && args.mapped >> Of::kMap & 1 &&
               firstToken + V::kChunk <= sequence.tokens) {
      if (lane == 0) {
        constexpr int kColumns = Of::kOfKey ? V::kK : V::kBlockV,
                      kPanels = (kColumns + kPanelColumns - 1) / kPanelColumns;
        full.expect(kPanels * kPanel);
#pragma unroll
        for (int i = 0; i < kPanels; ++i)
          copyBox(args.maps[!V::kMirrored && Of::kMap >= 0 ? Of::kMap : 0], tile + i * kPanel, full,
                  firstColumn<I>() + i * kPanelColumns, int(sequence.first) + firstToken,
                  head / args.tensors[Of::kTensor].headGroup, sequence.batch);
        full.arrive(32);
      }
    } else {
      copy.issue(tile, firstToken, sequence.tokens - firstToken, full);
    }
  }
  /// One warp copies input FIRST of every round, and the one four further on.
  template <int FIRST> __device__ __forceinline__ void copyInputs() const {
    if constexpr (FIRST < V::kInputs) {
      const InputCopy<FIRST> copy = inputCopy<FIRST>();
#pragma unroll 1
      for (int round = 0; round < segment.rounds(); ++round) {
        Base::empty(round % V::kStages).wait(~(round / V::kStages) & 1);
        copyInput<FIRST>(copy, round);
        if constexpr (FIRST + 4 < V::kInputs)
          copyInput<FIRST + 4>(inputCopy<FIRST + 4>(), round);
      }
    }
  }
  /// What one of the warps that copy does.
  __device__ __forceinline__ void copyAll() const {
    if (warp == 0)
      copyInputs<0>();
    else if (warp == 1)
      copyInputs<1>();
    else if (warp == 2)
      copyInputs<2>();
    else
      copyInputs<3>();
  }

  /// The scalars of the tokens of a chunk, one a thread of two warps, read a round ahead.
  struct TokenScalars {
    typename V::Inputs inputs;
    typename V::Params params;
  };
  __device__ __forceinline__ bool hasToken() const { return mapGroup() == 0 && warp < 2; }
  __device__ __forceinline__ void readScalars(TokenScalars& scalars, int round) const {
    const int token = segment.chunk(round) * V::kChunk + warp * 32 + lane;
    if (V::kTokenScalars && hasToken())
      scalars.inputs.load(args, sequence, head, token,
                          round < segment.rounds() && token < sequence.tokens);
  }
  __device__ __forceinline__ void startScalars(TokenScalars& scalars) const {
    if (V::kTokenScalars && hasToken())
      scalars.params.load(args, head);
    readScalars(scalars, 0);
  }

  /// Queries, keys, values and gates of a round become what the spec makes of them, in their
  /// places.
  __device__ __forceinline__ void mapTiles(TokenScalars& scalars, int round, int stage) const {
    constexpr int kRowsAtOnce = 32 / V::kRowLanes, kWarps = 4 * V::kMapGroups;
    const int firstToken = segment.chunk(round) * V::kChunk;
    if constexpr (V::kTokenScalars) {
      const int token = warp * 32 + lane;
      if (hasToken())
        V::scalarProgram(args, scalars.inputs, scalars.params, slots(stage, 0) + token, head,
                         firstToken + token, firstToken + token < sequence.tokens);
      readScalars(scalars, round + 1);
      if constexpr (V::kRowProgram)
        syncThreads(kMapBarrier, kWarps * 32);
    }
    if constexpr (V::kRowProgram) {
#pragma unroll 1
      for (int first = (mapGroup() * 4 + warp) * kRowsAtOnce; first < V::kChunk;
           first += kWarps * kRowsAtOnce) {
        const int token = first + lane / V::kRowLanes;
        V::rowProgram(args, shared, stage, token, firstToken + token < sequence.tokens, tile,
                      sequence, head, firstToken, lane);
      }
      syncThreads(kMapBarrier, kWarps * 32);
    }
  }

  static __device__ __forceinline__ FragmentA loadRows(uint32 address) {
    FragmentA a;
    loadMatrix4(a.r, address);
    return a;
  }
};
