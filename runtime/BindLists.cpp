#include "runtime/Binding.h"

#include <algorithm>

namespace lathe::binding {

namespace {

/// The number of integers of a list by itself.
std::int64_t checkList(const char* name, const IndexView& list, const char* axis) {
  if (list.bits != 32 && list.bits != 64)
    fail(name, "is int" + text(list.bits) + "; it must be int32 or int64");
  if (list.shape.size() != 1)
    fail(name, "has shape " + text(list.shape) + "; it must have 1 axis: [" + axis + "]");
  if (list.strides.size() != 1)
    fail(name, "has " + text(list.strides.size()) + " strides for 1 axis");
  const std::int64_t size = list.shape[0];
  if (size < 0)
    fail(name, "has the negative size " + text(size) + " on axis 0");
  if (size > 1 && list.strides[0] != 1)
    fail(name, "has stride " + text(list.strides[0]) + "; it must be 1");
  if (!list.data && size > 0)
    fail(name, "has no data");
  const int bytes = list.bits / 8;
  if (reinterpret_cast<std::uintptr_t>(list.data) % std::uintptr_t(bytes) != 0)
    fail(name, "is not aligned to the " + text(bytes) + " bytes of its integers");
  return size;
}

}  // namespace

std::optional<std::int64_t> packedSequences(const IndexLists& lists) {
  const char* const name = "cu_seqlens";
  if (!lists.cuSeqlens.isGiven())
    return std::nullopt;
  const std::int64_t size = checkList(name, lists.cuSeqlens, "sequences + 1");
  if (size == 0)
    fail(name, "has shape [0]; it must hold at least the token at which the first sequence begins");
  return size - 1;
}

std::optional<std::int64_t> slotCount(const IndexLists& lists) {
  if (!lists.slots.isGiven())
    return std::nullopt;
  return checkList("slots", lists.slots, "sequences");
}

}  // namespace lathe::binding
