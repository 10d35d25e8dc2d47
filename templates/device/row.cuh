// One row (the vector of one token) held by a warp: lane l has the elements l, l + 32, ... A row of
// N elements stands in memory with room for a padded number of them.

template <int N> constexpr int rowLength = (N + 31) / 32;

template <int N> __device__ __forceinline__ bool inRow(int i, int lane) {
  return N % 32 == 0 || lane + 32 * i < N;
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
