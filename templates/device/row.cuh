// One row (the vector of one token) held by a warp: lane l has the elements l, l + 32, ... A row of
// N elements stands in memory with room for a padded number of them.

template <int N> constexpr int rowLength = (N + 31) / 32;

template <int N> __device__ __forceinline__ bool inRow(int i, int lane) {
  return N % 32 == 0 || lane + 32 * i < N;
}

/// Elements that do not exist read as 0. Nothing waits for them, as nothing is computed of them.
template <int N, class T>
__device__ __forceinline__ void readRow(T (&x)[rowLength<N>], const T* row, int columns, int lane) {
#pragma unroll
  for (int i = 0; i < rowLength<N>; ++i)
    x[i] = inRow<N>(i, lane) && lane + 32 * i < columns ? row[lane + 32 * i] : T{};
}

/// Elements that do not exist, or a row that does not, read as 0.
template <int N, class T>
__device__ __forceinline__ void loadRow(float (&x)[rowLength<N>], const T* row, int columns,
                                        bool valid, int lane) {
#pragma unroll
  for (int i = 0; i < rowLength<N>; ++i)
    x[i] =
        valid && inRow<N>(i, lane) && lane + 32 * i < columns ? toFloat(row[lane + 32 * i]) : 0.0f;
}

/// Writes PADDED elements, zeros where the row has none.
template <int N, int PADDED, class T>
__device__ __forceinline__ void storeRow(T* row, const float (&x)[rowLength<N>], int columns,
                                         bool valid, int lane) {
#pragma unroll
  for (int i = 0; i < (PADDED + 31) / 32; ++i) {
    int column = lane + 32 * i;
    bool inside = valid && column < columns && column < N;
    if (column < PADDED)
      row[column] = fromFloat<T>(i < rowLength<N> && inside ? x[i < rowLength<N> ? i : 0] : 0.0f);
  }
}

/// N neighbouring elements, one access where they are aligned to their size.
template <class T, int N> struct __align__(N * sizeof(T)) Neighbours {
  T elements[N];
};

template <int N, class T> __device__ __forceinline__ bool isAligned(const T* first) {
  return uint64(first) % sizeof(Neighbours<T, N>) == 0;
}
template <int N, class T>
__device__ __forceinline__ const Neighbours<T, N>& neighbours(const T* first) {
  return *reinterpret_cast<const Neighbours<T, N>*>(first);
}
template <int N, class T> __device__ __forceinline__ Neighbours<T, N>& neighbours(T* first) {
  return *reinterpret_cast<Neighbours<T, N>*>(first);
}

/// N neighbouring elements that are aligned.
template <int N> __device__ __forceinline__ void loadNeighbours(float (&x)[N], const float* first) {
  Neighbours<float, N> all = neighbours<N>(first);
#pragma unroll
  for (int i = 0; i < N; ++i)
    x[i] = all.elements[i];
}

/// Writes N neighbouring elements, of which `valid` exist.
template <int N, class T>
__device__ __forceinline__ void storeNeighbours(T* target, const float (&x)[N], int valid) {
  if (likely(valid >= N && isAligned<N>(target))) {
    Neighbours<T, N> all;
#pragma unroll
    for (int i = 0; i < N; ++i)
      all.elements[i] = fromFloat<T>(x[i]);
    neighbours<N>(target) = all;
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < valid)
        target[i] = fromFloat<T>(x[i]);
  }
}
