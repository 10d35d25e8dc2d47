// The normaliser of a scan in the form for sm_90a, kept by the warpgroup of the scores: the state
// n_t = e^{g_t} n_{t-1} + key_t of K numbers, and its reads query_i . n_i of a chunk,
//   e^{G_i} query_i . n_0 + sum_j P_ij,   n <- e^{G_C} n + sum_j e^{G_C - G_j} key_j,
// in fp32; the sums of P are taken before it is rounded.

template <class V> struct HopperNormaliser {
  using Element = typename V::Element;
  static constexpr int kBarrier = 1;  ///< Of the warpgroup of the scores.

  /// In shared memory: the state, its parts and those of the reads by two halves of the threads,
  /// and the reads of a chunk, in as many buffers as the scores.
  struct alignas(16) Room {
    float state[V::kK], update[2][V::kK], part[2][V::kChunk], sums[V::kChunk];
    float reads[2][V::kChunk];
  };

  char* const shared;
  const int thread = threadIdx.x % 128, half = thread / 64, token = thread % 64;
  float total, entry;  ///< e^{G_C} of the chunk, e^{G_i} of this thread's token.

  __device__ __forceinline__ explicit HopperNormaliser(char* shared) : shared(shared) {}

  __device__ __forceinline__ Room& room() const {
    return *reinterpret_cast<Room*>(shared + V::kNormaliserOffset);
  }
  /// query_i . n_i of every token of the chunk whose scores are in this buffer.
  __device__ __forceinline__ float* reads(int buffer) const { return room().reads[buffer]; }

  /// The state at the start of a segment, from the one at the start of the sequence.
  template <class State, class States>
  __device__ __forceinline__ void find(const State& initial, const States& states) {
    const int index = states.segment.index;
    if (!states.segment.last()) {
      for (int d = thread; d < V::kK; d += 128)
        states.vector(index)[d] = states.segment.swept ? room().state[d] : 0.0f;
      states.publish();
    }
    for (int before = 0; before < index; ++before)
      states.shared(before).waitFor(States::kSharers);
    for (int d = thread; d < V::kK; d += 128) {
      float n = initial ? toFloat(initial(d, 0)) : 0.0f;
      for (int before = 0; before < index; ++before)
        n = n * loadFresh(states.decay(before)) + loadFresh(states.vector(before) + d);
      room().state[d] = n;
    }
    if (!states.segment.last())
      states.leave();
    syncWarpgroup<kBarrier>();
  }

  template <class T> __device__ __forceinline__ void store(const StateView<T>& last) {
    if (last)
      for (int d = thread; d < V::kK; d += 128)
        last(d, 0) = fromFloat<T>(room().state[d]);
  }

  /// What the tiles of a chunk give, before the stage is given back: half of the channels of every
  /// query's read, and the update.
  template <class Factors>
  __device__ __forceinline__ void readTiles(const char* query, const char* key,
                                            const Factors& factors) {
    total = factors.total, entry = factors.entry[token];
    room().part[half][token] = readQueries(query);
    sumKeys(key, factors);
  }

  /// Half of the channels of the read of this thread's query.
  __device__ __forceinline__ float readQueries(const char* query) const {
    constexpr int kPanelBytes = V::kChunk * kPanelRow, kPieces = V::kK / 8;
    float sum = 0.0f;
#pragma unroll 4
    for (int i = 0; i < kPieces / 2; ++i) {
      int piece = half * (kPieces / 2) + i;
      uint4 q = *reinterpret_cast<const uint4*>(query + piece / 8 * kPanelBytes +
                                                panelOffset(token, piece % 8));
      const float4* n = reinterpret_cast<const float4*>(room().state + piece * 8);
      float4 low = n[0], high = n[1];
      float2 a = unpack<Element>(q.x), b = unpack<Element>(q.y), c = unpack<Element>(q.z),
             d = unpack<Element>(q.w);
      sum += a.x * low.x + a.y * low.y + b.x * low.z + b.y * low.w;
      sum += c.x * high.x + c.y * high.y + d.x * high.z + d.y * high.w;
    }
    return sum;
  }

  /// Half of the tokens of every channel's update.
  template <class Factors>
  __device__ __forceinline__ void sumKeys(const char* key, const Factors& factors) {
    constexpr int kPanelBytes = V::kChunk * kPanelRow;
    for (int pair = token; pair < V::kK / 2; pair += 64) {
      float2 update = make_float2(0.0f, 0.0f);
#pragma unroll 8
      for (int j = half * 32; j < half * 32 + 32; ++j) {
        uint32 bits = *reinterpret_cast<const uint32*>(
            key + pair / 32 * kPanelBytes + panelOffset(j, pair % 32 / 4) + pair % 4 * 4);
        float2 k = unpack<Element>(bits);
        float factor = factors.exit[j];
        update.x += factor * k.x, update.y += factor * k.y;
      }
      *reinterpret_cast<float2*>(room().update[half] + pair * 2) = update;
    }
  }

  /// A chunk of the sweep, whose factors reach to the end of the segment; `first`: the state is
  /// zero before it.
  template <class Factors>
  __device__ __forceinline__ void sweep(const char* key, const Factors& factors, bool first) {
    sumKeys(key, factors);
    syncWarpgroup<kBarrier>();
    for (int d = thread; d < V::kK; d += 128)
      room().state[d] =
          (first ? 0.0f : room().state[d]) + (room().update[0][d] + room().update[1][d]);
    syncWarpgroup<kBarrier>();
  }

  /// The reads of the chunk and the next state, of all threads' scores: `scores` are those of rows
  /// 16 warp + lane / 4 and that + 8.
  __device__ __forceinline__ void finish(const float (&scores)[8][4], int buffer) {
    float upper = 0.0f, lower = 0.0f;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      upper += scores[n][0] + scores[n][1];
      lower += scores[n][2] + scores[n][3];
    }
#pragma unroll
    for (int offset = 1; offset < 4; offset *= 2) {
      upper += __shfl_xor_sync(~0u, upper, offset);
      lower += __shfl_xor_sync(~0u, lower, offset);
    }
    int row = thread / 32 * 16 + thread % 32 / 4;
    if (thread % 4 == 0)
      room().sums[row] = upper, room().sums[row + 8] = lower;
    syncWarpgroup<kBarrier>();
    if (half == 0)
      reads(buffer)[token] =
          entry * (room().part[0][token] + room().part[1][token]) + room().sums[token];
    for (int d = thread; d < V::kK; d += 128)
      room().state[d] = total * room().state[d] + (room().update[0][d] + room().update[1][d]);
    syncWarpgroup<kBarrier>();
  }
};
