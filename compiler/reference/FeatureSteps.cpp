#include "compiler/reference/Steps.h"

#include <algorithm>
#include <cmath>

namespace lathe::reference {

namespace {

Names without(Names dims, const std::string& dim) {
  std::erase(dims, dim);
  return dims;
}

/// Calls body(offset of each operand) for every element of the nest.
template <int N, typename Body> void forEachElement(const Nest<N>& nest, Body&& body) {
  nest.forEach([&](std::array<long, N> at) {
    for (long i = 0; i < nest.inner.size; ++i) {
      body(at);
      for (int operand = 0; operand < N; ++operand)
        at[operand] += nest.inner.strides[operand];
    }
  });
}

}  // namespace

Step rotateStep(const Slot& out, const Slot& operand, const std::string& dim, const Sizes& sizes) {
  const Nest<2> nest(without(out.dims, dim), {out.dims, operand.dims}, sizes);
  const long half = sizes.at(dim) / 2;
  const long to = strideOf(out.dims, dim, sizes), from = strideOf(operand.dims, dim, sizes);
  return [=] {
    forEachElement(nest, [&](const std::array<long, 2>& at) {
      double* y = out.data + at[0];
      const double* x = operand.data + at[1];
      for (long d = 0; d < half; ++d) {
        y[d * to] = -x[(d + half) * from];
        y[(d + half) * to] = x[d * from];
      }
    });
  };
}

Step taylorStep(const Slot& out, const Slot& operand, const std::string& dim,
                const std::string& features, const Sizes& sizes) {
  const Nest<2> nest(without(out.dims, features), {out.dims, operand.dims}, sizes);
  const long size = sizes.at(dim);
  const long to = strideOf(out.dims, features, sizes), from = strideOf(operand.dims, dim, sizes);
  return [=] {
    forEachElement(nest, [&](const std::array<long, 2>& at) {
      double* y = out.data + at[0];
      const double* x = operand.data + at[1];
      *y = 1;
      for (long i = 0; i < size; ++i)
        y[(1 + i) * to] = x[i * from];
      for (long i = 0; i < size; ++i)
        for (long j = 0; j < size; ++j)
          y[(1 + size + i * size + j) * to] = x[i * from] * x[j * from] / std::sqrt(2.0);
    });
  };
}

Step taylorAdjointStep(const Slot& out, const Slot& operand, const Slot& adjoint,
                       const std::string& dim, const std::string& features, const Sizes& sizes) {
  const Nest<3> nest(without(out.dims, dim), {out.dims, operand.dims, adjoint.dims}, sizes);
  const long size = sizes.at(dim);
  const long to = strideOf(out.dims, dim, sizes), from = strideOf(operand.dims, dim, sizes);
  const long along = strideOf(adjoint.dims, features, sizes);
  return [=] {
    forEachElement(nest, [&](const std::array<long, 3>& at) {
      double* dx = out.data + at[0];
      const double* x = operand.data + at[1];
      const double* d = adjoint.data + at[2];
      const auto product = [&](long i, long j) { return d[(1 + size + i * size + j) * along]; };
      for (long i = 0; i < size; ++i) {
        double sum = 0;
        for (long j = 0; j < size; ++j)
          sum += (product(i, j) + product(j, i)) * x[j * from];
        dx[i * to] = d[(1 + i) * along] + sum / std::sqrt(2.0);
      }
    });
  };
}

}  // namespace lathe::reference
