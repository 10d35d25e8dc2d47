// Tiles of panels (wgmma.cuh) between global memory, shared memory and accumulators.

/// One warp copies tiles of ROWS tokens by COLUMNS columns of one operand into panels. Of the
/// columns `exists` are there; what the others hold is never read.
template <class T, int ROWS, int COLUMNS> struct PanelCopy {
  static constexpr int kPerPiece = 16 / int(sizeof(T)), kPieces = COLUMNS / kPerPiece;
  static constexpr int kRowsAtOnce = kPieces > 16 ? 1 : kPieces > 8 ? 2 : kPieces > 4 ? 4 : 8;

  const T* source;
  const int64 token;
  const int piece, firstRow;
  const bool aligned, copies;

  __device__ __forceinline__ PanelCopy(const Tensor& tensor, const Sequence& sequence, int head,
                                       int column, int lane, int exists = COLUMNS)
      : source(tensor.template at<const T>(sequence, head) + column),
        token(tensor.stride(sequence)), piece(lane % kPieces), firstRow(lane / kPieces),
        aligned(rowAlignment<T>(tensor) == 16),
        copies(firstRow < kRowsAtOnce && piece * kPerPiece < exists) {}

  /// Copies `rows` tokens, at most ROWS, from `first` on, and zeros for the rest of the tile; every
  /// lane arrives at `full` once its part is there.
  __device__ __forceinline__ void issue(char* tile, int64 first, int rows, Barrier full) const {
    char* panel = tile + piece / 8 * (ROWS * kPanelRow);
    const T* from = source + (first + firstRow) * token + piece * kPerPiece;
    const int64 step = kRowsAtOnce * token;
    const int end = copies ? ROWS : 0;
    if (aligned && rows >= ROWS) {
#pragma unroll 4
      for (int i = 0; i < ROWS / kRowsAtOnce; ++i, from += step)
        if (copies)
          copyAsync16(panel + panelOffset(firstRow + i * kRowsAtOnce, piece % 8), from);
      full.arriveAfterCopies();
    } else if (aligned) {
#pragma unroll 1
      for (int row = firstRow; row < end; row += kRowsAtOnce, from += step)
        copyAsync<16>(panel + panelOffset(row, piece % 8), row < rows ? from : source,
                      row < rows ? 16 : 0);
      full.arriveAfterCopies();
    } else {
#pragma unroll 1
      for (int row = firstRow; row < end; row += kRowsAtOnce, from += step) {
        T* to = reinterpret_cast<T*>(panel + panelOffset(row, piece % 8));
#pragma unroll
        for (int i = 0; i < kPerPiece; ++i)
          to[i] = row < rows ? from[i] : fromFloat<T>(0.0f);
      }
      full.arrive();
    }
  }
};

/// The row of one token in a tile of panels, ROWS tokens high.
template <class T, int ROWS> struct PanelRow {
  char* tile;
  int row;

  /// 16 bytes: of 16-bit elements, columns 8 piece to 8 piece + 7.
  __device__ __forceinline__ uint4& operator[](int piece) const {
    return *reinterpret_cast<uint4*>(tile + piece / 8 * (ROWS * kPanelRow) +
                                     panelOffset(row, piece % 8));
  }
};

// A row of N elements held by LANES neighbouring lanes, eight neighbouring elements each; of a row
// in memory `columns` elements exist, a multiple of eight.

template <int N, int LANES, class T, int ROWS>
__device__ __forceinline__ void loadPieces(float (&x)[8], PanelRow<T, ROWS> row, int columns,
                                           bool valid, int lane) {
  int piece = lane % LANES;
  uint4 packed = make_uint4(0, 0, 0, 0);
  if (valid && piece * 8 < N && piece * 8 < columns)
    packed = row[piece];
  const uint32 words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float2 both = unpack<T>(words[i]);
    x[2 * i] = both.x, x[2 * i + 1] = both.y;
  }
}

template <int N, int LANES, int ROWS>
__device__ __forceinline__ void loadPieces(float (&x)[8], PanelRow<float, ROWS> row, int columns,
                                           bool valid, int lane) {
  int piece = lane % LANES;
  const bool inside = valid && piece * 8 < N && piece * 8 < columns;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 bits = inside ? row[piece * 2 + half] : make_uint4(0, 0, 0, 0);
    const uint32 words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      x[half * 4 + i] = __uint_as_float(words[i]);
  }
}

/// Of a param.
template <int N, int LANES, class T>
__device__ __forceinline__ void loadPieces(float (&x)[8], const T* row, int columns, bool valid,
                                           int lane) {
  int column = lane % LANES * 8;
  bool inside = valid && column < N && column < columns;
#pragma unroll
  for (int i = 0; i < 8; ++i)
    x[i] = inside ? toFloat(row[column + i]) : 0.0f;
}

/// Zeros where the row is not valid.
template <int N, int LANES, class T, int ROWS>
__device__ __forceinline__ void storePieces(PanelRow<T, ROWS> row, const float (&x)[8], int columns,
                                            bool valid, int lane) {
  int piece = lane % LANES;
  if (piece * 8 < N && piece * 8 < columns)
    row[piece] = valid ? make_uint4(pack<T>(x[0], x[1]), pack<T>(x[2], x[3]), pack<T>(x[4], x[5]),
                                    pack<T>(x[6], x[7]))
                       : make_uint4(0, 0, 0, 0);
}

/// Calls f(row, column, element) for all that a thread holds of a 64 x (64 PANELS) accumulator.
template <int PANELS, class Function>
__device__ __forceinline__ void eachElement(float (&accumulator)[PANELS][8][4], int warp, int lane,
                                            Function f) {
#pragma unroll
  for (int panel = 0; panel < PANELS; ++panel)
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        f(warp * 16 + lane / 4 + e / 2 * 8, panel * kPanelColumns + n * 8 + lane % 4 * 2 + e % 2,
          accumulator[panel][n][e]);
}

/// Writes what a warp has of an output: 16 columns from `column` on of 64 tokens from `first` on,
/// of which `rows` exist, as packed pairs of tokens of its part of a transposed accumulator;
/// through a `room` of 32 bytes for each of TOKENS at a time, as a thread has single elements of
/// many tokens. Of the columns `exists` are there.
template <class T, int TOKENS>
__device__ __forceinline__ void writeTransposed(const uint32 (&packed)[8][2], char* room,
                                                const Tensor& tensor, const Sequence& sequence,
                                                int head, int column, int exists, int64 first,
                                                int rows, int lane) {
  auto place = [](int token, int half) { return token * 32 + ((half ^ (token / 4 & 1)) << 4); };
  const bool aligned = rowAlignment<T>(tensor) == 16;
  T* target = tensor.template at<T>(sequence, head) + column + lane % 2 * 8;
#pragma unroll
  for (int part = 0; part < 64; part += TOKENS) {
    __syncwarp();
#pragma unroll
    for (int n = 0; n < TOKENS / 8; n += 2) {
      const uint32(&a)[2] = packed[part / 8 + n], (&b)[2] = packed[part / 8 + n + 1];
      storeMatrix4Transposed(room + place((n + lane / 16) * 8 + lane % 8, lane / 8 % 2), a[0], a[1],
                             b[0], b[1]);
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < TOKENS / 16; ++i) {
      int token = i * 16 + lane / 2;
      uint4 piece = *reinterpret_cast<const uint4*>(room + place(token, lane % 2));
      token += part;
      if (token >= rows || lane % 2 * 8 >= exists)
        continue;
      T* to = target + (first + token) * tensor.stride(sequence);
      if (aligned) {
        storeGlobal16(to, piece);
      } else {
        const uint32 words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
        for (int w = 0; w < 8; ++w)
          to[w] = T{uint16(words[w / 2] >> w % 2 * 16)};
      }
    }
  }
}
