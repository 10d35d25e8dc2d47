#include "compiler/reference/Steps.h"

#include "compiler/plan/Evaluate.h"
#include "compiler/reference/Rows.h"

namespace lathe::reference {

namespace {

/// The innermost loop of a map: an operand moves by one element or stands still. The result may lie
/// where an operand that moves does, so it is computed beside it, a block at a time.
template <Op op>
void mapRow(double* out, const double* a, const double* b, long size, bool moveA, bool moveB) {
  constexpr long blockSize = 128;
  double block[blockSize];
  const double firstA = *a, firstB = *b;
  for (long first = 0; first < size; first += blockSize) {
    const long count = std::min(blockSize, size - first);
    const double *rowA = a + first, *rowB = b + first;
    if (moveA && moveB)
      for (long i = 0; i < count; ++i)
        block[i] = evaluate<op>(rowA[i], rowB[i]);
    else if (moveA)
      for (long i = 0; i < count; ++i)
        block[i] = evaluate<op>(rowA[i], firstB);
    else if (moveB)
      for (long i = 0; i < count; ++i)
        block[i] = evaluate<op>(firstA, rowB[i]);
    else
      std::fill_n(block, count, evaluate<op>(firstA, firstB));
    std::copy_n(block, count, out + first);
  }
}

/// A sum of products along one loop, in four independent chains.
double dot(const double* a, const double* b, long size, long strideA, long strideB) {
  double sums[4] = {};
  long i = 0;
  for (; i + 4 <= size; i += 4)
    for (int chain = 0; chain < 4; ++chain)
      sums[chain] += a[(i + chain) * strideA] * b[(i + chain) * strideB];
  for (; i < size; ++i)
    sums[0] += a[i * strideA] * b[i * strideB];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace

Step mapStep(Op op, const Slot& out, std::span<const Slot> operands, const Sizes& sizes) {
  const Slot& a = operands[0];
  const Slot& b = operands.size() > 1 ? operands[1] : operands[0];
  return dispatch(op, [&]<Op known>() -> Step {
    return [=, nest = Nest<3>(out.dims, {out.dims, a.dims, b.dims}, sizes)] {
      nest.forEach([&](const std::array<long, 3>& at) {
        mapRow<known>(out.data + at[0], a.data + at[1], b.data + at[2], nest.inner.size,
                      nest.inner.strides[1] != 0, nest.inner.strides[2] != 0);
      });
    };
  });
}

Step broadcastStep(const Slot& out, const Slot& operand, const Sizes& sizes) {
  return [=, nest = Nest<2>(out.dims, {out.dims, operand.dims}, sizes)] {
    nest.forEach([&](const std::array<long, 2>& at) {
      for (long i = 0; i < nest.inner.size; ++i)
        out.data[at[0] + i] = operand.data[at[1] + i * nest.inner.strides[1]];
    });
  };
}

Step contractStep(const Slot& out, const Slot& a, const Slot* second, const std::string& dim,
                  const Sizes& sizes) {
  static const double one = 1;
  const Slot b = second ? *second : Slot{{}, const_cast<double*>(&one)};
  const Nest<3> nest(out.dims, {out.dims, a.dims, b.dims}, sizes);
  const long size = sizes.at(dim);
  const long alongA = strideOf(a.dims, dim, sizes), alongB = strideOf(b.dims, dim, sizes);
  const auto& strides = nest.inner.strides;
  if (nest.inner.size > 1 && strides[1] <= 1 && strides[2] <= 1) {
    return [=] {
      nest.forEach([&](const std::array<long, 3>& at) {
        double* row = out.data + at[0];
        std::fill_n(row, nest.inner.size, 0.0);
        const Rows rowsA{a.data + at[1], alongA, nest.inner.strides[1] == 1};
        const Rows rowsB{b.data + at[2], alongB, nest.inner.strides[2] == 1};
        if (rowsA.moves && rowsB.moves)
          addProducts(row, nest.inner.size, rowsA, rowsB, size);
        else
          addScaledRows(row, nest.inner.size, rowsA.moves ? rowsB : rowsA,
                        rowsA.moves ? rowsA : rowsB, size);
      });
    };
  }
  return [=] {
    nest.forEach([&](const std::array<long, 3>& at) {
      for (long i = 0; i < nest.inner.size; ++i)
        out.data[at[0] + i] = dot(a.data + at[1] + i * nest.inner.strides[1],
                                  b.data + at[2] + i * nest.inner.strides[2], size, alongA, alongB);
    });
  };
}

Step maxStep(const Slot& out, const Slot& operand, const std::string& dim, const Sizes& sizes) {
  const long size = sizes.at(dim), along = strideOf(operand.dims, dim, sizes);
  return [=, nest = Nest<2>(out.dims, {out.dims, operand.dims}, sizes)] {
    nest.forEach([&](const std::array<long, 2>& at) {
      for (long i = 0; i < nest.inner.size; ++i) {
        const double* first = operand.data + at[1] + i * nest.inner.strides[1];
        double most = *first;
        for (long j = 1; j < size; ++j)
          most = evaluate<Op::maximum>(most, first[j * along]);
        out.data[at[0] + i] = most;
      }
    });
  };
}

}  // namespace lathe::reference
