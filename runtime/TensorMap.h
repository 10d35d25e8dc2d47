// Tensor maps: what the copy engine of sm_90 is told of a tensor.
#pragma once

#include "runtime/Launch.h"

#include <optional>

namespace lathe {

/// The map by which boxes of a token tensor, one head of one batch each, are copied to shared
/// memory with the 128-byte swizzle; its axes are those of the operand, tokens, heads and batch,
/// and what is outside reads as zero. None where the engine cannot: rows that are not aligned to 16
/// bytes, strides that are not positive, or a driver before CUDA 12.
std::optional<TensorMap> makeMap(const BoxCopy& copy, const Binder::Slot& slot,
                                 const TensorView& tensor);

}  // namespace lathe
