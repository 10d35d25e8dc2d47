// The rules of a call on the CPU. On CUDA they are those of runtime/Binding.h.
#include "tools/liblathe/Failure.h"
#include "tools/liblathe/Tensors.h"

#include <algorithm>

namespace lathe::abi {

using Role = TensorRule::Role;

namespace {

[[noreturn]] void fail(const TensorRule& rule, const std::string& what) {
  reject("argument '" + rule.name + "' " + what);
}

std::string textOf(const std::vector<std::int64_t>& sizes) {
  std::string text;
  for (const std::int64_t size : sizes)
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

/// "[batch, tokens, heads, K=128]"
std::string axesOf(const TensorRule& rule) {
  std::string text;
  for (std::size_t i = 0; i < rule.axes.size(); ++i)
    text += (i == 0 ? "" : ", ") + rule.axes[i] +
            (rule.sizes[i] < 0 ? "" : "=" + std::to_string(rule.sizes[i]));
  return "[" + text + "]";
}

std::size_t leading(const TensorRule& rule) {
  return static_cast<std::size_t>(std::count(rule.sizes.begin(), rule.sizes.end(), -1));
}

bool hasElements(const TensorView& tensor) {
  return std::find(tensor.shape.begin(), tensor.shape.end(), 0) == tensor.shape.end();
}

/// Whether two indices may name one element: axes, from the smallest stride on, must each step over
/// all that is inside them.
bool overlapsItself(const TensorView& tensor) {
  std::vector<std::pair<std::int64_t, std::int64_t>> axes;  // Stride, size.
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis)
    if (tensor.shape[axis] > 1)
      axes.emplace_back(std::abs(tensor.strides[axis]), tensor.shape[axis]);
  std::sort(axes.begin(), axes.end());
  std::int64_t reach = 0;
  for (const auto& [stride, size] : axes) {
    if (stride <= reach)
      return true;
    reach += stride * (size - 1);
  }
  return false;
}

/// The rules that a tensor keeps by itself.
void checkAlone(const TensorRule& rule, const TensorView& tensor) {
  if (tensor.shape.size() != rule.axes.size())
    fail(rule, "has shape " + textOf(tensor.shape) + "; it must have " +
                   std::to_string(rule.axes.size()) +
                   (rule.axes.size() == 1 ? " axis: " : " axes: ") + axesOf(rule));
  for (std::size_t axis = 0; axis < rule.axes.size(); ++axis) {
    const std::int64_t size = tensor.shape[axis];
    if (size < 0)
      fail(rule,
           "has the negative size " + std::to_string(size) + " on axis " + std::to_string(axis));
    if (rule.sizes[axis] >= 0 && size != rule.sizes[axis])
      fail(rule, "has shape " + textOf(tensor.shape) + "; it must be " + axesOf(rule));
  }
  const bool hasDims = rule.axes.size() > leading(rule);
  if (hasDims && tensor.shape.back() > 1 && tensor.strides.back() != 1)
    fail(rule, "has the stride " + std::to_string(tensor.strides.back()) +
                   " on its last axis; it must be 1");
  if (!hasElements(tensor))
    return;
  if (!tensor.data)
    fail(rule, "has no data");
  const auto size = static_cast<std::uintptr_t>(bytes(tensor.dtype));
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % size != 0)
    fail(rule, "is not aligned to the " + std::to_string(size) + " bytes of its elements");
  if (rule.isWritten && overlapsItself(tensor))
    fail(rule, "has strides " + textOf(tensor.strides) +
                   ", by which elements share memory; it is written, so each must have its own");
}

/// An input, or the gradient of one: what has tokens is no param.
bool mayHaveFewerHeads(const TensorRule& rule) {
  return (rule.role == Role::input || rule.role == Role::gradient) && leading(rule) == 3;
}

class Agreement {
public:
  Agreement(const std::vector<TensorRule>& rules, std::span<const TensorView> tensors,
            std::int64_t packed)
      : rules(rules), tensors(tensors), packed(packed) {
    find();
  }

  Extents run() {
    for (std::size_t i = 0; i < rules.size(); ++i)
      if (isGiven(i))
        check(i);
    return extents;
  }

private:
  bool isGiven(std::size_t i) const { return tensors[i].data || !rules[i].isOptional; }

  /// Batch and tokens are those of the first tensor that has them, heads the most of any.
  void find() {
    bool isKnown = false;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (!isGiven(i))
        continue;
      const TensorRule& rule = rules[i];
      const bool hasTokens = leading(rule) == 3;
      if (hasTokens && !isKnown) {
        extents.batch = tensors[i].shape[0];
        extents.tokens = tensors[i].shape[1];
        isKnown = true;
        first = rule.name;
      }
      if (leading(rule) > 0)
        extents.heads = std::max(extents.heads, tensors[i].shape[leading(rule) - 1]);
    }
    if (packed >= 0 && extents.batch != 1)
      reject("argument '" + first + "' has batch " + std::to_string(extents.batch) +
             "; with cu_seqlens it must be 1, as sequences follow each other on the token axis");
    extents.sequences = packed >= 0 ? packed : extents.batch;
  }

  void check(std::size_t i) const {
    const TensorRule& rule = rules[i];
    const std::vector<std::int64_t>& shape = tensors[i].shape;
    std::vector<std::int64_t> wanted = shape;
    for (std::size_t axis = 0; axis < leading(rule); ++axis) {
      const std::string& own = rule.axes[axis];
      wanted[axis] = own == "batch"       ? extents.batch
                     : own == "tokens"    ? extents.tokens
                     : own == "sequences" ? extents.sequences
                                          : extents.heads;
    }
    if (mayHaveFewerHeads(rule) && shape[2] > 0 && extents.heads % shape[2] == 0)
      wanted[2] = shape[2];
    if (shape != wanted)
      fail(rule, "has shape " + textOf(shape) + "; it must have " + textOf(wanted) + ", " +
                     axesOf(rule) + ", as '" + first + "' and the most heads of any tensor say" +
                     (mayHaveFewerHeads(rule) ? ", or fewer heads that divide them" : ""));
    if (rule.role == Role::gradient)
      checkLikeItsOperand(i);
    if (rule.isWritten && hasElements(tensors[i]))
      checkApart(i);
  }

  void checkLikeItsOperand(std::size_t i) const {
    for (std::size_t j = 0; j < rules.size(); ++j)
      if (rules[j].name == rules[i].operand && tensors[j].shape != tensors[i].shape)
        fail(rules[i], "has shape " + textOf(tensors[i].shape) + "; it must have that of '" +
                           rules[j].name + "', " + textOf(tensors[j].shape));
  }

  void checkApart(std::size_t i) const {
    for (std::size_t j = 0; j < rules.size(); ++j) {
      const bool isState = rules[i].role == Role::finalState &&
                           rules[j].role == Role::initialState &&
                           rules[i].operand == rules[j].operand;
      if (i == j || !isGiven(j) || tensors[i].data != tensors[j].data || !hasElements(tensors[j]))
        continue;
      if (isState && tensors[i].strides != tensors[j].strides)
        fail(rules[i], "begins where '" + rules[j].name + "' does with the strides " +
                           textOf(tensors[i].strides) +
                           "; a state that is updated in place must have its own, " +
                           textOf(tensors[j].strides));
      if (!isState)
        fail(rules[i], "begins where '" + rules[j].name +
                           "' does; it is written, so it must have memory of its own");
    }
  }

  const std::vector<TensorRule>& rules;
  std::span<const TensorView> tensors;
  std::int64_t packed;
  Extents extents;
  std::string first;
};

}  // namespace

Extents checkTensors(const std::vector<TensorRule>& rules, std::span<const TensorView> tensors,
                     std::int64_t sequences) {
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (tensors[i].data || !rules[i].isOptional)
      checkAlone(rules[i], tensors[i]);
  return Agreement(rules, tensors, sequences).run();
}

}  // namespace lathe::abi
