// A sequence in segments that run at the same time, in one launch.
//
// Every segment but the last first sweeps its chunks, the last one first, for the state that they
// make of zero, and shares it. Then it joins the states of the segments before it, in their order,
// into the state at its own start, and walks its chunks forward. So the walk begins with the keys
// and values that the sweep read last, which are still in L2. Segments have the smaller block index
// the earlier they are, and wait for smaller ones only: they need not all be resident.

/// The part of a sequence that one block has, in rounds of one chunk: the sweep, then the walk.
struct Segment {
  int index, count;   ///< count is that of the launch: later segments may have no chunks.
  int first, chunks;  ///< The chunks of the sequence that it walks, in the order of the walk.
  int swept;          ///< Rounds of the sweep.
  int turn;           ///< Of a walk from the last chunk to the first: that chunk; else -1.
  int joined;         ///< Segments whose states it joins.
  int walkers;        ///< Those of the launch that join others'.

  /// Of a sequence of `total` chunks, in whole groups of `together`; the last group may reach
  /// behind its end, but for a walk in reverse, which takes chunks alone.
  __device__ __forceinline__ Segment(int index, int count, int total, int together = 1,
                                     bool reverse = false)
      : index(index), count(count), turn(reverse ? total - 1 : -1), joined(index), walkers(count) {
    // All of one length: the last, which does not sweep, waits for the sweeps of the others.
    int groups = (total + together - 1) / together, part = (groups + count - 1) / count;
    first = min(index * part, groups) * together;
    chunks = min(part, groups - first / together) * together;
    swept = last() ? 0 : chunks;
  }

  /// Of a sequence that is swept as a whole before it is walked: by one segment, or by the first
  /// half of them, whose states each of the second half joins.
  static __device__ __forceinline__ Segment ofSum(int index, int count, int total) {
    const int parts = (count + 1) / 2;
    Segment own(index % parts, parts, total);
    own.swept = index < parts ? own.chunks : 0;
    own.index = index, own.count = count, own.walkers = parts;
    own.joined = own.walks() && count > 1 ? parts : 0;
    own.chunks = own.walks() ? own.chunks : 0;
    return own;
  }

  __device__ __forceinline__ bool walks() const { return index + walkers >= count; }
  __device__ __forceinline__ bool last() const { return index + 1 == count; }
  __device__ __forceinline__ int rounds() const { return swept + chunks; }
  __device__ __forceinline__ int chunk(int round) const {
    int walked = first + (round < swept ? swept - 1 - round : round - swept);
    return turn < 0 ? walked : turn - walked;
  }
};

/// What the segments of one head and tile tell each other through the workspace: at its start a
/// counter for each block, behind kHeadBytes a room for each (compiler/cuda/Segments.h). WARPS
/// warps hold a state, PANELS * 32 numbers a thread, which a thread passes to the same thread of
/// others; OTHERS pass on a vector of LENGTH numbers.
template <int WARPS, int PANELS, int OTHERS, int LENGTH> struct SegmentStates {
  static constexpr int kHeadBytes = 65536, kThreads = WARPS * 32, kPieces = PANELS * 4;
  static constexpr int kSharers = WARPS + OTHERS;
  static constexpr int kVectorOffset = kThreads * kPieces * 16 + 128;
  static constexpr int kRoomBytes = kVectorOffset + LENGTH * 4;

  const Segment& segment;
  char* const workspace;
  const int unit;          ///< Which head and tile.
  const int thread, lane;  ///< thread: among those that hold the state.

  __device__ __forceinline__ Counter counter(int index) const {
    return {reinterpret_cast<uint32*>(workspace) + unit * segment.count + index};
  }
  /// How many warps of a segment have shared their state.
  __device__ __forceinline__ Counter shared(int index) const { return counter(index); }
  /// How many warps have read all that others wrote; the last segment shares nothing.
  __device__ __forceinline__ Counter finished() const { return counter(segment.count - 1); }
  __device__ __forceinline__ char* room(int index) const {
    return workspace + kHeadBytes + (int64(unit) * segment.count + index) * kRoomBytes;
  }
  /// Of this thread's warpgroup, as they may hold states of several heads.
  __device__ __forceinline__ float* decay(int index) const {
    return reinterpret_cast<float*>(room(index) + kThreads * kPieces * 16) + thread / 128;
  }
  __device__ __forceinline__ float* vector(int index) const {
    return reinterpret_cast<float*>(room(index) + kVectorOffset);
  }
  /// What this warp shares is written.
  __device__ __forceinline__ void publish() const {
    __syncwarp();
    if (lane == 0)
      shared(segment.index).post();
  }
  /// Until all that it joins have shared theirs: a lane asks for those of some, as an answer takes
  /// half as long as a chunk.
  __device__ __forceinline__ void awaitEarlier() const {
    for (int index = lane; index < segment.joined; index += 32)
      shared(index).waitFor(kSharers);
    __syncwarp();
  }

  /// Shares the state that the segment makes of zero, rounded to bf16, and the decay over it.
  __device__ __forceinline__ void share(const float (&state)[PANELS][8][4], float total) const {
    char* piece = room(segment.index) + thread * 16;
#pragma unroll
    for (int i = 0; i < kPieces; ++i, piece += kThreads * 16) {
      const float(&x)[4] = state[i / 4][i % 4 * 2], (&y)[4] = state[i / 4][i % 4 * 2 + 1];
      storeGlobal16(piece, make_uint4(pack<bf16>(x[0], x[1]), pack<bf16>(x[2], x[3]),
                                      pack<bf16>(y[0], y[1]), pack<bf16>(y[2], y[3])));
    }
    if (thread % 128 == 0)
      *decay(segment.index) = total;
    publish();
  }

  /// Half of what one thread shares.
  struct Half {
    static constexpr int kPieces = SegmentStates::kPieces / 2;
    uint4 x[kPieces];

    __device__ __forceinline__ void load(const char* piece) {
#pragma unroll
      for (int i = 0; i < kPieces; ++i)
        x[i] = loadFresh16(piece + i * kThreads * 16);
    }
    /// A later state from an earlier one, and what the segment between them makes of zero.
    template <class Decay>
    __device__ __forceinline__ void advance(float (&state)[PANELS][8][4], int first,
                                            Decay decay) const {
#pragma unroll
      for (int i = 0; i < kPieces; ++i) {
        const uint32 words[4] = {x[i].x, x[i].y, x[i].z, x[i].w};
#pragma unroll
        for (int e = 0; e < 8; ++e) {
          const int n = (first + i) * 2 + e / 4;
          const float4 factor = decay(n);
          float& s = state[n / 8][n % 8][e % 4];
          s = s * (&factor.x)[e % 4] + toFloat(bf16{uint16(words[e / 2] >> e % 2 * 16)});
        }
      }
    }
  };

  /// Takes the state from the start of the sequence to that of the segment. `decayOf` gives the
  /// decay over a segment, as what gives that of a thread's four elements of eight channels.
  template <class DecayOf>
  __device__ __forceinline__ void join(float (&state)[PANELS][8][4], DecayOf decayOf) const {
    constexpr int kHalf = Half::kPieces * kThreads * 16;
    awaitEarlier();
    Half low, high;
    low.load(room(0) + thread * 16);
#pragma unroll 1
    for (int index = 0; index < segment.joined; ++index) {
      const auto total = decayOf(index);
      high.load(room(index) + kHalf + thread * 16);
      low.advance(state, 0, total);
      if (index + 1 < segment.joined)
        low.load(room(index + 1) + thread * 16);
      high.advance(state, Half::kPieces, total);
    }
  }
  /// The same where decays are at hand and all have shared, with more of them on their way.
  template <int kSegments, class DecayOf>
  __device__ __forceinline__ void joinShared(float (&state)[PANELS][8][4], DecayOf decayOf) const {
    constexpr int kAhead = 2 * kSegments;
    Half halves[kAhead];
    auto load = [&](int slot, int index) {
      if (index < segment.joined)
        halves[slot].load(room(index) + (slot % 2 * Half::kPieces * kThreads + thread) * 16);
    };
#pragma unroll
    for (int slot = 0; slot < kAhead; ++slot)
      load(slot, slot / 2);
#pragma unroll 1
    for (int first = 0; first < segment.joined; first += kSegments)
#pragma unroll
      for (int slot = 0; slot < kAhead; ++slot)
        if (const int index = first + slot / 2; index < segment.joined) {
          halves[slot].advance(state, slot % 2 * Half::kPieces, decayOf(index));
          load(slot, index + kSegments);
        }
  }

  /// Tells the last segment that this one has read all that it starts from.
  __device__ __forceinline__ void leave() const {
    __syncwarp();
    if (lane == 0)
      finished().add();
  }

  /// The last segment waits until the others have read what it may overwrite: the state that the
  /// sequence starts from, where the final one takes its place.
  __device__ __forceinline__ void awaitOthers() const {
    finished().waitFor((segment.walkers - 1) * kSharers);
  }

  /// The last of the last segment's warps zeroes the counters of its head and tile for the launches
  /// to come.
  __device__ __forceinline__ void close() const {
    __syncwarp();
    if (lane == 0 && finished().add() + 1 == segment.walkers * kSharers)
      for (int index = 0; index < segment.count; ++index)
        *counter(index).address = 0;
  }
};
