// Numbers of the dtypes of a kernel on the host: IEEE 754 rounding to nearest, ties to even, from
// fp64 in one step, as rounding by way of fp32 would round twice.
#pragma once

#include "compiler/cuda/Kernel.h"

#include <cstddef>
#include <cstdint>

namespace lathe {

/// The number of `dtype` that is nearest to `x`; infinite beyond its largest.
double roundTo(DType dtype, double x);

/// `count` numbers, rounded, as they lie in the memory of a GPU; a NaN becomes a quiet one.
void encode(DType dtype, const double* from, std::int64_t count, std::byte* to);

/// The numbers that lie at `from`; exact.
void decode(DType dtype, const std::byte* from, std::int64_t count, double* to);

}  // namespace lathe
