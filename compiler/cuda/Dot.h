// The kernel of a DotStep.
#pragma once

#include "compiler/cuda/Kernel.h"

#include <array>

namespace lathe {

/// Its argument, which it takes by value. Element (sequence, head) of `to`, dense, is the sum over
/// rows and columns of a[sequence, head, row, column] * b[...]; strides count elements.
struct DotSizes {
  const void *a = nullptr, *b = nullptr;
  void* to = nullptr;
  std::int64_t heads = 0, rows = 1, columns = 1;
  std::array<std::int64_t, 4> aStrides = {}, bStrides = {};
};
static_assert(sizeof(DotSizes) == 112);

/// `b`: the dtype of b; a and `to` are fp32. A launch has a block for each element of `to`.
KernelSource emitDot(DType b);

}  // namespace lathe
