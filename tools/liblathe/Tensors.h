// DLTensors of a call as the kernels take them.
#pragma once

#include "runtime/Launch.h"
#include "tools/liblathe/Kernel.h"

#include <span>

namespace lathe::abi {

/// The tensors of a call in the order of the rules, absent ones with null data. Strides are filled
/// in where the caller has none. Checks everything that must be known to read a DLTensor safely:
/// counts, null pointers, device, dtype. `device` is that of CUDA, or -1 for the CPU. Throws
/// Failure.
void readTensors(const std::vector<TensorRule>& rules, const lathe_call& call, int device,
                 std::vector<TensorView>& tensors);

/// A list of integers; none where it is null. Throws Failure.
IndexView readList(const char* name, const DLTensor* list, int device);

/// The constants of a call, or none for the defaults. Throws Failure.
std::span<const double> readConstants(const Kernel& kernel, const lathe_call& call);

/// The extents of a call of the CPU.
struct Extents {
  std::int64_t batch = 0, tokens = 0, heads = 0, sequences = 0;
};

/// Every tensor by itself and with the others: shapes, strides, alignment, memory that is written
/// twice. `sequences`: that cu_seqlens packs, or -1. Throws Failure.
Extents checkTensors(const std::vector<TensorRule>& rules, std::span<const TensorView> tensors,
                     std::int64_t sequences);

}  // namespace lathe::abi
