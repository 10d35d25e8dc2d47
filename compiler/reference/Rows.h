// Sums of rows: the inner loops of contractions.
#pragma once

namespace lathe::reference {

/// Rows that lie `along` elements apart; each is a row of elements where it moves, else one
/// element.
struct Rows {
  const double* data;
  long along;
  bool moves;
};

/// row += sum over n < count of scale_n * rows_n, four rows at a time, so that `row` is loaded and
/// stored less often.
inline void addScaledRows(double* __restrict row, long width, Rows scale, Rows rows, long count) {
  long n = 0;
  for (; n + 4 <= count; n += 4) {
    const double* s = scale.data + n * scale.along;
    const double s0 = s[0], s1 = s[scale.along], s2 = s[2 * scale.along], s3 = s[3 * scale.along];
    const double* r0 = rows.data + n * rows.along;
    const double *r1 = r0 + rows.along, *r2 = r1 + rows.along, *r3 = r2 + rows.along;
    for (long i = 0; i < width; ++i)
      row[i] += (s0 * r0[i] + s1 * r1[i]) + (s2 * r2[i] + s3 * r3[i]);
  }
  for (; n < count; ++n) {
    const double s = scale.data[n * scale.along];
    const double* r = rows.data + n * rows.along;
    for (long i = 0; i < width; ++i)
      row[i] += s * r[i];
  }
}

/// row += sum over n < count of a_n * b_n, element by element.
inline void addProducts(double* __restrict row, long width, Rows a, Rows b, long count) {
  for (long n = 0; n < count; ++n)
    for (long i = 0; i < width; ++i)
      row[i] += a.data[n * a.along + i] * b.data[n * b.along + i];
}

}  // namespace lathe::reference
