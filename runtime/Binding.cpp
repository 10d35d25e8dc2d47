#include "runtime/Binding.h"

#include <algorithm>
#include <limits>
#include <set>

namespace lathe::binding {

using Slot = Binder::Slot;
using Kind = Operand::Kind;
using Role = KernelSource::Slot::Role;

namespace {

/// "[batch, tokens, heads, K=128]"
std::string expectedShape(const Slot& slot) {
  std::vector<std::string> axes = {slot.leading == 3 ? "batch" : "sequences", "tokens", "heads"};
  if (slot.leading < 3)
    axes.erase(axes.begin() + 1);
  if (slot.leading < 2)
    axes.erase(axes.begin());
  for (std::size_t i = 0; i < slot.dims.size(); ++i)
    axes.push_back(slot.dims[i] + "=" + text(slot.sizes[i]));
  return "[" + join(axes) + "]";
}

void checkShape(const Slot& slot, const TensorView& tensor) {
  std::size_t rank = slot.leading + slot.dims.size();
  if (tensor.shape.size() != rank)
    fail(slot, "has shape " + text(tensor.shape) + "; it must have " + text(rank) +
                   (rank == 1 ? " axis: " : " axes: ") + expectedShape(slot));
  if (tensor.strides.size() != rank)
    fail(slot, "has " + text(tensor.strides.size()) + " strides for " + text(rank) + " axes");
  for (std::size_t axis = 0; axis < rank; ++axis) {
    std::int64_t size = tensor.shape[axis];
    if (size < 0)
      fail(slot, "has the negative size " + text(size) + " on axis " + text(axis));
    std::size_t dim = axis - slot.leading;
    if (axis >= std::size_t(slot.leading) && size != slot.sizes[dim])
      fail(slot, "has shape " + text(tensor.shape) + "; axis " + text(axis) + " is " + text(size) +
                     " and must be " + slot.dims[dim] + " = " + text(slot.sizes[dim]));
  }
}

/// The axes from `first` on.
void checkDense(const Slot& slot, const TensorView& tensor, std::size_t first) {
  std::int64_t dense = 1;
  for (std::size_t axis = tensor.shape.size(); axis-- > first; dense *= tensor.shape[axis])
    if (tensor.shape[axis] > 1 && tensor.strides[axis] != dense)
      fail(slot, "has stride " + text(tensor.strides[axis]) + " on axis " + text(axis) +
                     "; it must be " + text(dense) +
                     (slot.kind == Kind::param   ? ": a param is contiguous"
                      : slot.kind == Kind::state ? ": a state is contiguous, its axes in any order"
                                                 : ": the axes of one token and head are "
                                                   "contiguous"));
}

void checkStrides(const Slot& slot, const TensorView& tensor) {
  // A param is dense altogether; of others only the axes of the operand itself are.
  std::size_t first = slot.leading == 1 ? 0 : slot.leading;
  if (!isExchanged(slot, tensor))
    checkDense(slot, tensor, first);
  if (slot.written())
    for (std::size_t axis = 0; axis < first; ++axis)
      if (tensor.shape[axis] > 1 && tensor.strides[axis] == 0)
        fail(slot, "has stride 0 on axis " + text(axis) + " of size " + text(tensor.shape[axis]) +
                       "; what is written must not overlap itself");
}

void checkAlone(const Slot& slot, const TensorView& tensor) {
  if (tensor.dtype != slot.dtype)
    fail(slot, std::string("is ") + name(tensor.dtype) + "; it must be " + name(slot.dtype));
  checkShape(slot, tensor);
  checkStrides(slot, tensor);
  bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  if (!tensor.data && !empty)
    fail(slot, "has no data; only states may be absent");
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % bytes(slot.dtype) != 0)
    fail(slot, "is not aligned to the " + text(bytes(slot.dtype)) + " bytes of its elements");
}

/// A number that all arguments share, and the argument that gave it.
struct Shared {
  const char* from = nullptr;
  std::int64_t value = 0;

  void agree(const char* what, const char* name, std::int64_t given) {
    if (!from) {
      from = name;
      value = given;
    } else if (given != value) {
      fail(name, std::string("has ") + what + " " + text(given) + ", but '" + from + "' has " +
                     what + " " + text(value) + "; they must be equal");
    }
  }
  void agree(const char* what, const Slot& slot, std::int64_t given) {
    agree(what, slot.name.c_str(), given);
  }
};

void checkHeads(const Slot& slot, std::int64_t given, std::int64_t heads) {
  if (given == heads)
    return;
  if (slot.kind != Kind::input)
    fail(slot,
         "has " + text(given) + " heads; it must have all " + text(heads) + " heads of the launch");
  if (given == 0 || heads % given != 0)
    fail(slot, "has " + text(given) + " heads, which do not divide the " + text(heads) +
                   " heads of the launch");
}

/// The bytes between the first and the last element.
std::pair<const std::byte*, const std::byte*> extent(const TensorView& tensor) {
  std::int64_t first = 0, last = 1;
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    std::int64_t reach = (tensor.shape[axis] - 1) * tensor.strides[axis];
    (reach < 0 ? first : last) += reach;
  }
  const auto* base = static_cast<const std::byte*>(tensor.data);
  return {base + first * bytes(tensor.dtype), base + last * bytes(tensor.dtype)};
}

/// A state that several blocks read and one writes cannot be updated in place.
void checkApart(std::span<const Slot> slots, std::span<const TensorView> arguments) {
  for (std::size_t i = 0; i + 1 < slots.size(); ++i) {
    if (!slots[i].apart || slots[i].role != Role::initial || !arguments[i].data ||
        !arguments[i + 1].data)
      continue;
    auto [begin, end] = extent(arguments[i]);
    auto [otherBegin, otherEnd] = extent(arguments[i + 1]);
    if (begin < otherEnd && otherBegin < end)
      fail(
          slots[i + 1],
          "shares memory with '" + slots[i].name +
              "'; several blocks of this kernel read that state, so it cannot be updated in place");
  }
}

void limit(const char* what, std::int64_t value) {
  if (value > std::numeric_limits<std::int32_t>::max())
    throw ArgumentError(std::string(what) + " is " + text(value) + "; a launch takes at most " +
                        text(std::numeric_limits<std::int32_t>::max()));
}

}  // namespace

void fail(const std::string& name, const std::string& rule) {
  throw ArgumentError("argument '" + name + "' " + rule);
}

void fail(const Slot& slot, const std::string& rule) { fail(slot.name, rule); }

std::string text(std::int64_t number) { return std::to_string(number); }

std::string text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> sizes;
  for (std::int64_t size : shape)
    sizes.push_back(text(size));
  return "[" + join(sizes) + "]";
}

std::string join(const std::vector<std::string>& words) {
  std::string joined;
  for (const std::string& word : words)
    joined += (joined.empty() ? "" : ", ") + word;
  return joined;
}

std::string names(std::span<const Slot> slots) {
  std::vector<std::string> all;
  for (const Slot& slot : slots)
    all.push_back(slot.name);
  return join(all);
}

Slot slotOf(const Plan& plan, const KernelSource::Slot& slot, const Signature& signature) {
  const Operand& operand = plan.operands.at(slot.operand);
  if (std::size_t(slot.operand) >= signature.dtypes.size())
    throw ArgumentError("the signature has " + text(signature.dtypes.size()) +
                        " dtypes; it must have one for each of the " + text(plan.operands.size()) +
                        " operands of " + plan.variant);
  Slot result;
  const char* prefix = slot.role == Role::initial ? "initial "
                       : slot.role == Role::final ? "final "
                                                  : "";
  result.name = prefix + operand.name;
  result.operand = operand.name;
  result.kind = operand.kind;
  result.role = slot.role;
  result.dtype = signature.dtypes[slot.operand];
  result.leading = operand.kind == Kind::param ? 1 : operand.kind == Kind::state ? 2 : 3;
  result.dims = operand.dims;
  for (const std::string& dim : operand.dims) {
    auto found = signature.dims.find(dim);
    if (found == signature.dims.end())
      throw ArgumentError("the signature has no size for the dimension " + dim + " of " +
                          plan.variant);
    result.sizes.push_back(found->second);
  }
  return result;
}

std::size_t bytes(std::size_t tensors, std::size_t constants) {
  std::size_t bytes = sizeof(KernelSizes) + tensors * sizeof(KernelTensor) +
                      std::max<std::size_t>(1, constants) * sizeof(float);
  return (bytes + 7) / 8 * 8;
}

Sizes check(std::span<const Slot> slots, std::span<const TensorView> arguments,
            const IndexLists& lists) {
  Shared sequences, rows, tokens, device, heads;
  std::int64_t inputHeads = 0;
  const std::optional<std::int64_t> packed = packedSequences(lists), pooled = slotCount(lists);
  const char* const sequence = packed ? "sequences" : "batch";
  if (packed)
    sequences.agree(sequence, "cu_seqlens", *packed);
  auto present = [&](std::size_t i) { return arguments[i].data || !slots[i].mayBeAbsent(); };
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!present(i))
      continue;
    const Slot& slot = slots[i];
    const TensorView& tensor = arguments[i];
    checkAlone(slot, tensor);
    device.agree("device", slot, tensor.device);
    if (slot.leading == 3 && packed && tensor.shape[0] != 1)
      fail(slot, "has batch " + text(tensor.shape[0]) +
                     "; with cu_seqlens it must be 1, as sequences follow each other on the "
                     "token axis");
    if (slot.leading == 3 && !packed)
      sequences.agree(sequence, slot, tensor.shape[0]);
    if (slot.leading == 3)
      tokens.agree("tokens", slot, tensor.shape[1]);
    if (slot.leading == 2)
      (pooled ? rows : sequences).agree(pooled ? "rows" : sequence, slot, tensor.shape[0]);
    if (slot.kind == Kind::input)
      inputHeads = std::max(inputHeads, tensor.shape[2]);
    else if (slot.leading >= 2)
      heads.agree("heads", slot, tensor.shape[slot.leading - 1]);
  }
  if (packed)
    device.agree("device", "cu_seqlens", lists.cuSeqlens.device);
  if (pooled) {
    device.agree("device", "slots", lists.slots.device);
    sequences.agree(sequence, "slots", *pooled);
  }
  checkApart(slots, arguments);
  Sizes sizes{sequences.value, tokens.value, heads.from ? heads.value : inputHeads,
              int(device.value), packed.has_value()};
  for (std::size_t i = 0; i < slots.size(); ++i)
    if (present(i))
      checkHeads(slots[i], arguments[i].shape[slots[i].leading - 1], sizes.heads);
  return sizes;
}

unsigned gridOf(const Sizes& sizes, int tiles) {
  limit("batch", sizes.batch);
  limit("tokens", sizes.tokens);
  limit("heads", sizes.heads);
  limit("batch * heads", sizes.batch * sizes.heads);
  limit("batch * heads * tiles", sizes.batch * sizes.heads * tiles);
  return unsigned(sizes.batch * sizes.heads * tiles);
}

bool isExchanged(const Slot& slot, const TensorView& tensor) {
  if (slot.kind != Kind::state || slot.dims.size() != 2)
    return false;
  const std::size_t first = slot.leading, second = first + 1;
  const auto has = [&](std::size_t axis, std::int64_t stride) {
    return tensor.shape[axis] <= 1 || tensor.strides[axis] == stride;
  };
  const bool isDeclared = has(first, tensor.shape[second]) && has(second, 1);
  return !isDeclared && has(first, 1) && has(second, tensor.shape[first]);
}

KernelTensor pack(const Slot& slot, const TensorView& tensor, std::int64_t heads) {
  KernelTensor packed;
  packed.data = tensor.data;
  if (!tensor.data)
    return packed;
  // The stride of an axis of one element says nothing; kernels read alignment off the strides.
  auto stride = [&](int axis) { return tensor.shape[axis] > 1 ? tensor.strides[axis] : 0; };
  int head = slot.leading - 1;
  packed.head = stride(head);
  if (slot.leading >= 2)
    packed.batch = stride(0);
  if (slot.leading == 3)
    packed.token = stride(1);
  if (slot.kind == Kind::state && slot.dims.size() == 2) {
    const bool exchanged = isExchanged(slot, tensor);
    packed.token = exchanged ? 1 : slot.sizes[1];
    packed.inner = exchanged ? std::int32_t(slot.sizes[0]) : 1;
  } else if (slot.kind == Kind::state && !slot.dims.empty()) {
    packed.token = packed.inner = 1;
  }
  if (std::int64_t own = tensor.shape[head]; own > 0)
    packed.headGroup = std::int32_t(heads / own);
  return packed;
}

KernelSizes pack(const Sizes& sizes, const IndexLists& lists, int tiles) {
  constexpr int wideSequences = 1, wideSlots = 2;
  KernelSizes packed{.batch = std::int32_t(sizes.batch),
                     .tokens = std::int32_t(sizes.tokens),
                     .heads = std::int32_t(sizes.heads),
                     .tiles = tiles};
  packed.sequences = lists.cuSeqlens.data;
  packed.slots = lists.slots.data;
  packed.wide =
      (lists.cuSeqlens.bits == 64 ? wideSequences : 0) | (lists.slots.bits == 64 ? wideSlots : 0);
  return packed;
}

std::vector<TensorView> arguments(const std::string& variant, std::span<const Slot> slots,
                                  const Call& call) {
  std::vector<TensorView> result;
  std::set<std::string> known;
  for (const Slot& slot : slots) {
    const auto& from = slot.role == Role::initial ? call.initial
                       : slot.role == Role::final ? call.final
                                                  : call.tensors;
    auto found = from.find(slot.operand);
    if (found == from.end() && !slot.mayBeAbsent())
      throw ArgumentError("argument '" + slot.name + "' is missing; " + variant + " takes " +
                          names(slots));
    result.push_back(found == from.end() ? TensorView{} : found->second);
    known.insert(slot.name);
  }
  auto refuse = [&](const std::string& name) {
    throw ArgumentError("there is no argument '" + name + "'; " + variant + " takes " +
                        names(slots));
  };
  auto refuseUnknown = [&](const std::map<std::string, TensorView>& given, const char* prefix) {
    for (const auto& [operand, tensor] : given)
      if (!known.contains(prefix + operand))
        refuse(prefix + operand);
  };
  refuseUnknown(call.tensors, "");
  refuseUnknown(call.initial, "initial ");
  refuseUnknown(call.final, "final ");
  return result;
}

}  // namespace lathe::binding
