// One tensor of a call in the memory of a GPU, with what surrounds it.
#pragma once

#include "runtime/Memory.h"
#include "tuner/Workload.h"

#include <cstddef>
#include <string>
#include <vector>

namespace lathe {

/// Rows of contiguous elements, one for each index of the leading axes, between canaries.
struct Region {
  static constexpr auto nan = std::byte(0xff);  ///< Repeated, a NaN in every dtype.

  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape, strides;
  std::size_t leading = 0;
  std::int64_t rows = 1, width = 1, span = 0;  ///< span: elements from the first to the last.
  std::int64_t offset = 0;                     ///< Elements before the first.
  std::int64_t inner = 1;  ///< Of a row that lies transposed: the length of its first axis.
  const HostTensor* initial = nullptr;  ///< What it holds before the call; else NaN.
  bool written = false;                 ///< By the call.
  /// Which indices of an axis belong to a sequence; empty: all. Other rows hold NaN, but canaries,
  /// or what they held before, where the call writes.
  std::vector<bool> owned;
  std::size_t ownedAxis = 0;
  Buffer buffer;

  std::int64_t size() const;  ///< Bytes.
  TensorView view(int device) const;
  void upload() const;
  /// Zero where rows belong to no sequence. Throws Error where anything but owned rows changed.
  HostTensor download() const;

private:
  template <typename Body> void forEachRow(std::int64_t batches, const Body& body) const;
  void write(const double* row, std::byte* memory) const;
  void read(const std::byte* memory, double* row) const;
  std::vector<std::byte> image() const;
};

}  // namespace lathe
