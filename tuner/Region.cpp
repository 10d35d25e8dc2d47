#include "tuner/Region.h"

#include "runtime/Error.h"
#include "tuner/Numbers.h"
#include "tuner/Parallel.h"

#include <algorithm>
#include <cstring>

namespace lathe {

namespace {

constexpr std::int64_t margin = 256;  ///< Bytes of canary before and after the elements.
constexpr auto canary = std::byte(0xc5);
constexpr std::int64_t rowGrain = 1 << 10;

}  // namespace

std::int64_t Region::size() const { return 2 * margin + (offset + span) * bytes(dtype); }

TensorView Region::view(int device) const {
  auto* data = static_cast<std::byte*>(buffer.data()) + margin + offset * bytes(dtype);
  return {data, dtype, shape, strides, device};
}

/// Calls body(byte offset of the row within the buffer, index of the row in a dense tensor whose
/// batch axis has `batches`, whether it belongs to a sequence).
template <typename Body> void Region::forEachRow(std::int64_t batches, const Body& body) const {
  parallelFor(rows, rowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t rest = row, at = offset, source = 0, dense = 1;
      bool isOwned = true;
      for (std::size_t axis = leading; axis-- > 0;) {
        std::int64_t index = rest % shape[axis];
        rest /= shape[axis];
        at += index * strides[axis];
        std::int64_t extent = axis == 0 && leading > 1 ? batches : shape[axis];
        source += index % extent * dense;
        dense *= extent;
        if (axis == ownedAxis && !owned.empty())
          isOwned = owned[index];
      }
      body(margin + at * bytes(dtype), source, isOwned);
    }
  });
}

void Region::write(const double* row, std::byte* memory) const {
  if (inner == 1)
    return encode(dtype, row, width, memory);
  for (std::int64_t i = 0; i < width; ++i)
    encode(dtype, row + i, 1,
           memory + (i % (width / inner) * inner + i / (width / inner)) * bytes(dtype));
}

void Region::read(const std::byte* memory, double* row) const {
  if (inner == 1)
    return decode(dtype, memory, width, row);
  for (std::int64_t i = 0; i < width; ++i)
    decode(dtype, memory + (i % (width / inner) * inner + i / (width / inner)) * bytes(dtype), 1,
           row + i);
}

std::vector<std::byte> Region::image() const {
  std::vector<std::byte> bytesOf(size(), canary);
  std::int64_t batches = initial && leading > 1 ? initial->shape[0] : 1;
  forEachRow(batches, [&](std::int64_t at, std::int64_t row, bool isOwned) {
    if (initial && (isOwned || written))
      write(initial->data.data() + row * width, bytesOf.data() + at);
    else if (isOwned || !written)
      std::memset(bytesOf.data() + at, int(nan), width * bytes(dtype));
  });
  return bytesOf;
}

void Region::upload() const { buffer.upload(image().data()); }

HostTensor Region::download() const {
  std::vector<std::byte> found(size());
  buffer.download(found.data());
  const std::vector<std::byte> before = image();
  HostTensor tensor{shape, std::vector<double>(rows * width)};
  forEachRow(shape[0], [&](std::int64_t at, std::int64_t row, bool isOwned) {
    if (!isOwned)
      return;
    read(found.data() + at, tensor.data.data() + row * width);
    std::memcpy(found.data() + at, before.data() + at, width * bytes(dtype));
  });
  auto changed = std::mismatch(found.begin(), found.end(), before.begin()).first;
  if (changed != found.end())
    throw Error("the kernel wrote outside '" + name + "': byte " +
                std::to_string(changed - found.begin() - margin - offset * bytes(dtype)) +
                " from its first element, which is none of its own");
  return tensor;
}

}  // namespace lathe
