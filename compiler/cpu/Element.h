// Numbers of a tensor, one by one, on the host side of a call.
#pragma once

#include "compiler/cuda/Kernel.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lathe::cpu {

inline float readElement(const std::byte* at, DType dtype) {
  if (dtype == DType::f32) {
    float number;
    std::memcpy(&number, at, sizeof number);
    return number;
  }
  if (dtype == DType::bf16) {
    std::uint16_t upper;
    std::memcpy(&upper, at, sizeof upper);
    return std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16);
  }
  _Float16 half;
  std::memcpy(&half, at, sizeof half);
  return static_cast<float>(half);
}

/// Rounds to the nearest, ties to even; a NaN stays one.
inline void writeElement(std::byte* at, float number, DType dtype) {
  if (dtype == DType::f32) {
    std::memcpy(at, &number, sizeof number);
  } else if (dtype == DType::bf16) {
    const auto bits = std::bit_cast<std::uint32_t>(number);
    const std::uint32_t rounded =
        number != number ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
    const auto upper = static_cast<std::uint16_t>(rounded >> 16);
    std::memcpy(at, &upper, sizeof upper);
  } else {
    const auto half = static_cast<_Float16>(number);
    std::memcpy(at, &half, sizeof half);
  }
}

}  // namespace lathe::cpu
