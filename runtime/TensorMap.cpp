#include "runtime/TensorMap.h"

#include "runtime/driver/Cuda.h"

namespace lathe {

std::optional<TensorMap> makeMap(const BoxCopy& copy, const Binder::Slot& slot,
                                 const TensorView& tensor) {
  static const auto encode = cuda::available() ? cuda::api().tensorMapEncode : nullptr;
  constexpr std::int64_t grain = 16, farthest = std::int64_t(1) << 40;
  if (!encode || slot.leading != 3 || slot.dims.size() != 1 ||
      reinterpret_cast<std::uintptr_t>(tensor.data) % grain)
    return std::nullopt;
  const std::int64_t element = bytes(slot.dtype);
  const auto size = [&](int axis) { return (unsigned long long)(tensor.shape[axis]); };
  const unsigned long long sizes[] = {(unsigned long long)(slot.sizes[0]), size(1), size(2),
                                      size(0)};
  unsigned long long strides[3];
  for (int i = 0; i < 3; ++i) {
    const int axis = (i + 1) % 3;
    if (tensor.shape[axis] < 1)
      return std::nullopt;
    // The stride of an axis of one element says nothing, yet must be valid.
    const std::int64_t stride = tensor.shape[axis] > 1 ? tensor.strides[axis] * element : grain;
    if (stride <= 0 || stride % grain || stride >= farthest)
      return std::nullopt;
    strides[i] = stride;
  }
  const unsigned box[] = {unsigned(copy.columns), unsigned(copy.tokens), 1, 1};
  const unsigned steps[] = {1, 1, 1, 1};
  constexpr int noInterleave = 0, zeros = 0;
  TensorMap map;
  if (encode(&map, slot.dtype == DType::f16 ? cuda::mapOfF16 : cuda::mapOfBf16, 4, tensor.data,
             sizes, strides, box, steps, noInterleave, cuda::swizzle128, cuda::promotion256,
             zeros) != cuda::success)
    return std::nullopt;
  return map;
}

}  // namespace lathe
