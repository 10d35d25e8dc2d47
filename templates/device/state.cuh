// A lane's part of a state, between registers and memory.

/// The channels that a lane holds of a column which SPLIT lanes share: runs of neighbours, each one
/// access to shared memory, and to a state whose channels are contiguous.
template <int K, int SPLIT, int LENGTH> struct Channels {
  static constexpr int kRun = LENGTH % 4 == 0 ? 4 : LENGTH % 2 == 0 ? 2 : 1;
  static constexpr bool kWhole = K == SPLIT * LENGTH;
  int part;

  __device__ __forceinline__ int operator[](int i) const {
    return (i / kRun * SPLIT + part) * kRun + i % kRun;
  }
  __device__ __forceinline__ bool inside(int i) const { return kWhole || (*this)[i] < K; }

  /// These channels of a row in shared memory, which has room for all.
  __device__ __forceinline__ void load(float (&x)[LENGTH], const float* row) const {
#pragma unroll
    for (int i = 0; i < LENGTH; i += kRun) {
      Neighbours<float, kRun> run = neighbours<kRun>(row + (*this)[i]);
#pragma unroll
      for (int j = 0; j < kRun; ++j)
        x[i + j] = run.elements[j];
    }
  }
};

/// Whether a state of K by V can be read a row of N columns at a time.
template <int V, int N, class T>
__device__ __forceinline__ bool hasRows(const StateView<T>& state) {
  return V % N == 0 && state.value == 1 && state.key == V && isAligned<N>(state.data);
}
/// Whether it can be read a run of channels at a time, all N columns of this lane.
template <int V, int N, int K, int SPLIT, int LENGTH, class T>
__device__ __forceinline__ bool hasRuns(const StateView<T>& state, int column,
                                        const Channels<K, SPLIT, LENGTH>& channels) {
  return state && channels.kWhole && (V % N == 0 ? column < V : column + N <= V) &&
         state.key == 1 && state.value == K &&
         isAligned<Channels<K, SPLIT, LENGTH>::kRun>(state.data);
}

/// N neighbouring columns of a lane's channels. All accesses are in flight together, and of a dense
/// state in fp32 nothing is computed that would wait for them. What does not exist, or a state that
/// the call does not pass, reads as 0.
template <int V, int N, int K, int SPLIT, int LENGTH, class T>
__device__ __forceinline__ void loadState(float (&x)[LENGTH][N], const StateView<T>& state,
                                          int column, const Channels<K, SPLIT, LENGTH>& channels) {
  constexpr int kRun = Channels<K, SPLIT, LENGTH>::kRun;
  if (likely(state && column < V && hasRows<V, N>(state))) {
    Neighbours<T, N> rows[LENGTH];
#pragma unroll
    for (int i = 0; i < LENGTH; ++i)
      rows[i] = neighbours<N>(state.data + (channels.inside(i) ? channels[i] : 0) * V + column);
#pragma unroll
    for (int i = 0; i < LENGTH; ++i)
#pragma unroll
      for (int n = 0; n < N; ++n)
        x[i][n] = channels.inside(i) ? toFloat(rows[i].elements[n]) : 0.0f;
  } else if (hasRuns<V, N>(state, column, channels)) {
    Neighbours<T, kRun> runs[LENGTH / kRun][N];
#pragma unroll
    for (int i = 0; i < LENGTH / kRun; ++i)
#pragma unroll
      for (int n = 0; n < N; ++n)
        runs[i][n] = neighbours<kRun>(state.data + (column + n) * K + channels[i * kRun]);
#pragma unroll
    for (int i = 0; i < LENGTH; ++i)
#pragma unroll
      for (int n = 0; n < N; ++n)
        x[i][n] = toFloat(runs[i / kRun][n].elements[i % kRun]);
  } else {
#pragma unroll
    for (int i = 0; i < LENGTH; ++i) {
      int64 element = opaque(channels[i] * state.key + column * state.value);
#pragma unroll
      for (int n = 0; n < N; ++n) {
        x[i][n] =
            state && column + n < V && channels.inside(i) ? toFloat(state.data[element]) : 0.0f;
        element = opaque(element + state.value);
      }
    }
  }
}

template <int V, int N, int K, int SPLIT, int LENGTH, class T>
__device__ __forceinline__ void storeState(const StateView<T>& state, const float (&x)[LENGTH][N],
                                           int column, const Channels<K, SPLIT, LENGTH>& channels) {
  constexpr int kRun = Channels<K, SPLIT, LENGTH>::kRun;
  if (likely(hasRows<V, N>(state))) {
#pragma unroll
    for (int i = 0; i < LENGTH; ++i) {
      Neighbours<T, N> row;
#pragma unroll
      for (int n = 0; n < N; ++n)
        row.elements[n] = fromFloat<T>(x[i][n]);
      if (column < V && channels.inside(i))
        neighbours<N>(state.data + channels[i] * V + column) = row;
    }
  } else if (hasRuns<V, N>(state, column, channels)) {
#pragma unroll
    for (int i = 0; i < LENGTH; i += kRun)
#pragma unroll
      for (int n = 0; n < N; ++n) {
        Neighbours<T, kRun> run;
#pragma unroll
        for (int j = 0; j < kRun; ++j)
          run.elements[j] = fromFloat<T>(x[i + j][n]);
        neighbours<kRun>(state.data + (column + n) * K + channels[i]) = run;
      }
  } else {
#pragma unroll
    for (int i = 0; i < LENGTH; ++i) {
      int64 element = opaque(channels[i] * state.key + column * state.value);
#pragma unroll
      for (int n = 0; n < N; ++n) {
        if (column + n < V && channels.inside(i))
          state.data[element] = fromFloat<T>(x[i][n]);
        element = opaque(element + state.value);
      }
    }
  }
}
