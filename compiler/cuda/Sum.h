// The kernel of a SumStep.
#pragma once

#include "compiler/cuda/Kernel.h"

#include <array>

namespace lathe {

/// Its argument, which it takes by value. Element (i0, i1, i2, i3) of `to` is the sum of `count`
/// elements of `from`, `step` apart; strides count elements. Where `starts` is given, cu_seqlens
/// [sequences + 1], i1 is a token, and those of no sequence are neither read nor written.
struct SumSizes {
  const void* from = nullptr;
  void* to = nullptr;
  std::array<std::int64_t, 4> sizes = {1, 1, 1, 1}, fromStrides = {}, toStrides = {};
  std::int64_t count = 0, step = 0;
  const void* starts = nullptr;
  std::int32_t sequences = 0;
  std::int32_t wide = 0;  ///< Whether starts are int64, not int32.
};
static_assert(sizeof(SumSizes) == 144);

/// `lanes`: threads that add up one element, 1 or 32. A launch has a thread for each lane of each
/// element.
KernelSource emitSum(DType from, DType to, int lanes);

}  // namespace lathe
