// Any recurrence, one token at a time: the form of the step and sequential families for what the
// others do not take.
//
// A thread block walks a head's sequence, or kBlockV columns of it, kBlock tokens at a time. The
// values of a token that have at most one dimension lie in rows in shared memory, one row a token.
// States of two dimensions are in fp32 registers for the whole sequence.

/// Who a thread is, and the tokens that its block is at.
struct Place {
  const Args& args;
  char* shared;
  Sequence sequence;
  int head, tile, thread, warp, lane;
  /// The tokens of the walk: those of the sequence, or some of them.
  int spanFirst = 0, spanTokens = sequence.tokens;
  int first = 0, rows = 0;  ///< Tokens of these in the order of the sweep.

  /// The rows of a value.
  __device__ __forceinline__ float* rowsAt(int offset) const {
    return reinterpret_cast<float*>(shared + offset);
  }
  /// At the tokens behind these.
  template <int BLOCK> __device__ __forceinline__ Place ahead() const {
    Place next = *this;
    next.first += BLOCK;
    next.rows = min(BLOCK, spanTokens - next.first);
    return next;
  }
  /// The token of a row.
  template <bool REVERSE> __device__ __forceinline__ int token(int row) const {
    return spanFirst + (REVERSE ? spanTokens - 1 - first - row : first + row);
  }
  /// At the I-th span of SPAN tokens.
  template <int SPAN> __device__ __forceinline__ Place span(int i) const {
    Place own = *this;
    own.spanFirst = i * SPAN;
    own.spanTokens = min(SPAN, sequence.tokens - i * SPAN);
    return own;
  }
};

/// How a block holds a matrix of CHANNELS by WIDTH: lane l of a warp has COLUMNS neighbouring
/// columns, those of l % kAcross, and of the channels every SPLIT-th, from l / kAcross on.
template <int CHANNELS, int WIDTH, int SPLIT, int COLUMNS, int WARPS> struct Held {
  static constexpr int kAcross = 32 / SPLIT, kColumns = COLUMNS, kSplit = SPLIT;
  static constexpr int kPerGroup = WARPS * kAcross * COLUMNS;
  static constexpr int kGroups = (WIDTH + kPerGroup - 1) / kPerGroup;
  static constexpr int kLength = (CHANNELS + SPLIT - 1) / SPLIT;
  typedef float Registers[kGroups][kLength][COLUMNS];

  static __device__ __forceinline__ int channel(const Place& at, int i) {
    return i * SPLIT + at.lane / kAcross;
  }
  static __device__ __forceinline__ int column(const Place& at, int group) {
    return group * kPerGroup + (at.warp * kAcross + at.lane % kAcross) * COLUMNS;
  }
};

/// A state between memory and registers. `channelStride` and `columnStride` count elements, and
/// `columns` columns exist from `data` on; others read as 0.
template <class H, int CHANNELS, class T>
__device__ __forceinline__ void loadHeld(typename H::Registers& x, const T* data,
                                         int64 channelStride, int64 columnStride, int columns,
                                         const Place& at) {
  constexpr int N = H::kColumns;
  struct __align__(N * sizeof(T)) Pack {
    T elements[N];
  };
  const bool packed = columnStride == 1 && channelStride % N == 0 && columns % N == 0 &&
                      uint64(data) % sizeof(Pack) == 0;
  if (data && packed) {
    Pack packs[H::kGroups][H::kLength];
#pragma unroll
    for (int j = 0; j < H::kGroups; ++j)
#pragma unroll
      for (int i = 0; i < H::kLength; ++i) {
        const int a = H::channel(at, i), b = H::column(at, j);
        packs[j][i] = a < CHANNELS && b < columns
                          ? *reinterpret_cast<const Pack*>(data + a * channelStride + b)
                          : Pack();
      }
#pragma unroll
    for (int j = 0; j < H::kGroups; ++j)
#pragma unroll
      for (int i = 0; i < H::kLength; ++i)
#pragma unroll
        for (int c = 0; c < N; ++c)
          x[j][i][c] = toFloat(packs[j][i].elements[c]);
  } else {
#pragma unroll
    for (int j = 0; j < H::kGroups; ++j)
#pragma unroll
      for (int i = 0; i < H::kLength; ++i)
#pragma unroll
        for (int c = 0; c < N; ++c) {
          const int a = H::channel(at, i), b = H::column(at, j) + c;
          x[j][i][c] = data && a < CHANNELS && b < columns
                           ? toFloat(data[a * channelStride + b * columnStride])
                           : 0.0f;
        }
  }
}

template <class H, int CHANNELS, class T>
__device__ __forceinline__ void storeHeld(T* data, const typename H::Registers& x,
                                          int64 channelStride, int64 columnStride, int columns,
                                          const Place& at) {
  constexpr int N = H::kColumns;
  struct __align__(N * sizeof(T)) Pack {
    T elements[N];
  };
  const bool packed = columnStride == 1 && channelStride % N == 0 && columns % N == 0 &&
                      uint64(data) % sizeof(Pack) == 0;
#pragma unroll
  for (int j = 0; j < H::kGroups; ++j)
#pragma unroll
    for (int i = 0; i < H::kLength; ++i) {
      const int a = H::channel(at, i), b = H::column(at, j);
      if (a >= CHANNELS || b >= columns)
        continue;
      if (packed) {
        Pack pack;
#pragma unroll
        for (int c = 0; c < N; ++c)
          pack.elements[c] = fromFloat<T>(x[j][i][c]);
        *reinterpret_cast<Pack*>(data + a * channelStride + b) = pack;
      } else {
#pragma unroll
        for (int c = 0; c < N; ++c)
          if (b + c < columns)
            data[a * channelStride + (b + c) * columnStride] = fromFloat<T>(x[j][i][c]);
      }
    }
}

template <bool LARGEST> __device__ __forceinline__ float combine(float x, float y) {
  return LARGEST ? fmaxf(x, y) : x + y;
}

/// Over neighbouring lanes, those that share channels.
template <bool LARGEST, int LANES> __device__ __forceinline__ float combineLanes(float x) {
#pragma unroll
  for (int offset = 1; offset < LANES; offset *= 2)
    x = combine<LARGEST>(x, __shfl_xor_sync(~0u, x, offset));
  return x;
}

/// Combines N values over the lanes that are multiples of FIRST apart, from OFFSET down. Each lane
/// is left with its part of the values, from the index that is returned on; where there are more
/// lanes than values, `isMine` holds in one lane for each. A value costs about one shuffle.
template <bool LARGEST, int FIRST, int OFFSET, int N, int ALL>
__device__ __forceinline__ int scatterLanes(float (&x)[ALL], int lane, bool& isMine) {
  if constexpr (OFFSET < FIRST) {
    return 0;
  } else {
    const bool upper = lane & OFFSET;
    if constexpr (N == 1) {
      x[0] = combine<LARGEST>(x[0], __shfl_xor_sync(~0u, x[0], OFFSET));
      isMine = isMine && !upper;
      return scatterLanes<LARGEST, FIRST, OFFSET / 2, 1>(x, lane, isMine);
    } else {
#pragma unroll
      for (int i = 0; i < N / 2; ++i) {
        const float kept = upper ? x[i + N / 2] : x[i], sent = upper ? x[i] : x[i + N / 2];
        x[i] = combine<LARGEST>(kept, __shfl_xor_sync(~0u, sent, OFFSET));
      }
      return (upper ? N / 2 : 0) + scatterLanes<LARGEST, FIRST, OFFSET / 2, N / 2>(x, lane, isMine);
    }
  }
}

/// What the lanes of a column have of its sums, for several tokens, into the rows of these tokens.
template <class H, bool LARGEST, int N>
__device__ __forceinline__ void storeSums(float (&x)[N], float* rows, int pitch, int column,
                                          int width, const Place& at) {
  constexpr int kMine = N > H::kSplit ? N / H::kSplit : 1;
  bool isMine = true;
  const int first = scatterLanes<LARGEST, H::kAcross, 16, N>(x, at.lane, isMine);
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const int token = (first + i) / H::kColumns, c = column + (first + i) % H::kColumns;
    if (isMine && c < width)
      rows[token * pitch + c] = x[i];
  }
}

/// N neighbouring elements of a row, at an index that is a multiple of N.
template <int N> __device__ __forceinline__ void loadColumns(float (&x)[N], const float* row) {
  struct __align__(N * sizeof(float)) Pack {
    float elements[N];
  };
  const Pack pack = *reinterpret_cast<const Pack*>(row);
#pragma unroll
  for (int i = 0; i < N; ++i)
    x[i] = pack.elements[i];
}

template <int N> __device__ __forceinline__ void storeColumns(float* row, const float (&x)[N]) {
  struct __align__(N * sizeof(float)) Pack {
    float elements[N];
  };
  Pack pack;
#pragma unroll
  for (int i = 0; i < N; ++i)
    pack.elements[i] = x[i];
  *reinterpret_cast<Pack*>(row) = pack;
}

/// From state to state over the tokens of the walk.
template <class SWEEP> __device__ __forceinline__ void walk(SWEEP& sweep, Place at) {
  at.rows = min(SWEEP::kBlock, at.spanTokens);
  typename SWEEP::Inputs inputs;
  inputs.load(at);
  __syncthreads();
#pragma unroll 1
  for (; at.first < at.spanTokens; at.first += SWEEP::kBlock) {
    at.rows = min(SWEEP::kBlock, at.spanTokens - at.first);
    sweep.advance(at, inputs);
    if constexpr (SWEEP::kCarriesRows) {
      sweep.carryRows(at);
      __syncthreads();
    }
  }
}

/// One walk over the sequence.
template <class SWEEP> __device__ __forceinline__ void runSweep(const Place& at) {
  SWEEP sweep;
  sweep.load(at);
  walk(sweep, at);
  sweep.store(at);
  __syncthreads();
}

// Walks that need what earlier ones computed, a span of tokens at a time: of each span the states
// before it are kept as a checkpoint, from which a replay computes again what is read. Behind the
// head of the workspace are the checkpoints of all spans of all heads and tiles, then a room for
// each block (runtime/Launch.cpp).

/// Spans for which there is room before those of a sequence.
template <int SPAN>
__device__ __forceinline__ int64 spansBefore(const Args& args, int index, int64 first) {
  return args.sequences ? first / SPAN + index : index * int64(args.tokens / SPAN + 1);
}

template <class V> __device__ __forceinline__ int64 allSpans(const Args& args) {
  return args.sequences ? args.tokens / V::kSpan + args.batch
                        : args.batch * int64(args.tokens / V::kSpan + 1);
}

template <class V> __device__ __forceinline__ float* checkpointAt(const Place& at, int span) {
  const int index = blockIdx.x / (V::kTiles * at.args.heads);
  const int64 before = spansBefore<V::kSpan>(at.args, index, at.sequence.first);
  const int64 unit = int64(at.head) * V::kTiles + at.tile;
  return V::workspace(at) + (unit * allSpans<V>(at.args) + before + span) * V::kCheckpoint;
}

template <class V> __device__ __forceinline__ float* roomOf(const Place& at) {
  const int64 checkpoints = int64(at.args.heads) * V::kTiles * allSpans<V>(at.args);
  return V::workspace(at) + checkpoints * V::kCheckpoint + blockIdx.x * int64(V::kRoom);
}

/// The states before a span, then what is read of it.
template <class REPLAY> __device__ __forceinline__ void replay(const Place& at, float* checkpoint) {
  REPLAY sweep;
  sweep.restore(at, checkpoint);
  walk(sweep, at);
}

/// One walk over the sequence, span by span; KEPT: later ones replay it.
template <class V, class SWEEP, bool KEPT, class... REPLAYS>
__device__ __forceinline__ void runSpans(const Place& at) {
  SWEEP sweep;
  sweep.load(at);
  __syncthreads();
  const int spans = (at.sequence.tokens + V::kSpan - 1) / V::kSpan;
#pragma unroll 1
  for (int i = 0; i < spans; ++i) {
    const int span = SWEEP::kReverse ? spans - 1 - i : i;
    const Place own = at.span<V::kSpan>(span);
    float* checkpoint = checkpointAt<V>(at, span);
    (replay<REPLAYS>(own, checkpoint), ...);
    if constexpr (KEPT)
      sweep.save(own, checkpoint);
    walk(sweep, own);
  }
  sweep.store(at);
  __syncthreads();
}

template <class V> __device__ __forceinline__ void runGeneral(const Args& args, char* shared) {
  const int thread = threadIdx.x, unit = blockIdx.x / V::kTiles;
  const Place at{args,
                 shared,
                 args.sequence(unit / args.heads),
                 unit % args.heads,
                 int(blockIdx.x % V::kTiles),
                 thread,
                 thread / 32,
                 thread % 32};
  if (at.sequence.slot < 0)
    V::clearOutputs(at);
  else
    V::run(at);
}
