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

/// N neighbouring elements, of which `valid` exist, in one access where the address allows it.
template <int N, class T>
__device__ __forceinline__ void loadNeighbours(float (&x)[N], const T* source, int valid) {
  struct __align__(N * sizeof(T)) Pack {
    T elements[N];
  };
  if (valid >= N && uint64(source) % sizeof(Pack) == 0) {
    Pack pack = *reinterpret_cast<const Pack*>(source);
#pragma unroll
    for (int i = 0; i < N; ++i)
      x[i] = toFloat(pack.elements[i]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i)
      x[i] = i < valid ? toFloat(source[i]) : 0.0f;
  }
}

template <int N, class T>
__device__ __forceinline__ void storeNeighbours(T* target, const float (&x)[N], int valid) {
  struct __align__(N * sizeof(T)) Pack {
    T elements[N];
  };
  if (valid >= N && uint64(target) % sizeof(Pack) == 0) {
    Pack pack;
#pragma unroll
    for (int i = 0; i < N; ++i)
      pack.elements[i] = fromFloat<T>(x[i]);
    *reinterpret_cast<Pack*>(target) = pack;
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < valid)
        target[i] = fromFloat<T>(x[i]);
  }
}

/// ROWS rows of N neighbouring elements, PITCH elements apart, of which `rows` and `columns` exist;
/// others read as 0. All are in flight together where the addresses allow one access a row.
template <int PITCH, int ROWS, int N, class T>
__device__ __forceinline__ void loadRows(float (&x)[ROWS][N], const T* source, int rows,
                                         int columns) {
  struct __align__(N * sizeof(T)) Pack {
    T elements[N];
  };
  if (PITCH % N == 0 && columns >= N && uint64(source) % sizeof(Pack) == 0) {
    Pack packs[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
      if (i < rows)
        packs[i] = *reinterpret_cast<const Pack*>(source + i * PITCH);
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
      for (int n = 0; n < N; ++n)
        x[i][n] = i < rows ? toFloat(packs[i].elements[n]) : 0.0f;
  } else {
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
      for (int n = 0; n < N; ++n)
        x[i][n] = i < rows && n < columns ? toFloat(source[i * PITCH + n]) : 0.0f;
  }
}

template <int PITCH, int ROWS, int N, class T>
__device__ __forceinline__ void storeRows(T* target, const float (&x)[ROWS][N], int rows,
                                          int columns) {
  struct __align__(N * sizeof(T)) Pack {
    T elements[N];
  };
  if (PITCH % N == 0 && columns >= N && uint64(target) % sizeof(Pack) == 0) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      Pack pack;
#pragma unroll
      for (int n = 0; n < N; ++n)
        pack.elements[n] = fromFloat<T>(x[i][n]);
      if (i < rows)
        *reinterpret_cast<Pack*>(target + i * PITCH) = pack;
    }
  } else {
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
      for (int n = 0; n < N; ++n)
        if (i < rows && n < columns)
          target[i * PITCH + n] = fromFloat<T>(x[i][n]);
  }
}
