#include "tools/lathe/Tensors.h"

#include "compiler/plan/Dims.h"
#include "runtime/Error.h"
#include "tuner/Numbers.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::tool {

namespace {

/// Exchanges the axes 1 and 2: [B,H,T,...] to [B,T,H,...] and back.
Array swapped(const Array& from) {
  Array to = from;
  std::swap(to.shape[1], to.shape[2]);
  const std::int64_t batch = from.shape[0], rows = from.shape[1], columns = from.shape[2];
  const std::int64_t width =
      batch * rows * columns == 0 ? 0 : std::int64_t(from.data.size()) / (batch * rows * columns);
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        std::copy_n(from.data.begin() + ((b * rows + i) * columns + j) * width, width,
                    to.data.begin() + ((b * columns + j) * rows + i) * width);
  return to;
}

constexpr const char* packing = "cu_seqlens";

std::vector<std::string> axesOf(const Operand& operand, Layout layout, bool isPacked) {
  std::vector<std::string> axes;
  switch (operand.kind) {
  case Operand::Kind::input:
  case Operand::Kind::output:
    axes = layout == Layout::bthd ? std::vector<std::string>{"B", "T", "H"}
                                  : std::vector<std::string>{"B", "H", "T"};
    break;
  case Operand::Kind::param:
    axes = {"H"};
    break;
  case Operand::Kind::state:
    axes = {isPacked ? "sequences" : "B", "H"};
    break;
  case Operand::Kind::constant:
    return {};
  }
  axes.insert(axes.end(), operand.dims.begin(), operand.dims.end());
  return axes;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ",") + word;
  return "[" + text + "]";
}

/// Reads the sizes off the shapes. Of each axis the first array decides; heads are the largest
/// number found, as an input may have fewer.
class Reader {
public:
  Reader(const Plan& plan, const Arrays& arrays, Layout layout)
      : plan(plan), arrays(arrays), layout(layout) {}

  FileCall read() {
    isPacked = arrays.contains(packing) && !isOperand(packing);
    rejectUnknown();
    if (isPacked)
      sizes["sequences"] = takeSequences(arrays.at(packing));
    for (const Operand& operand : plan.operands)
      take(operand);
    if (isPacked)
      checkSequences();
    call.shape = {sizeOf("B"), sizeOf("T"), heads};
    for (const std::string& dim : plan.dims)
      if (sizes.contains(dim))
        call.dims[dim] = static_cast<int>(sizes.at(dim));
    completeSizes();
    checkHeads();
    return std::move(call);
  }

private:
  void rejectUnknown() const {
    std::string known;
    for (const Operand& operand : plan.operands)
      if (operand.kind != Operand::Kind::output)
        known += (known.empty() ? "" : ", ") + operand.name;
    for (const auto& [name, array] : arrays)
      if (!isOperand(name) && name != packing)
        reject(name, known);
  }

  /// Whether an array of this name is read as one of the variant's own.
  bool isOperand(const std::string& name) const {
    return std::any_of(plan.operands.begin(), plan.operands.end(), [&](const Operand& operand) {
      return operand.name == name && operand.kind != Operand::Kind::output;
    });
  }

  /// How many sequences there are.
  std::int64_t takeSequences(const Array& array) {
    const std::string what = std::string("'") + packing + "' has ";
    if (array.shape.size() != 1 || array.shape[0] < 1)
      throw Error(what + "shape " + toString(array.shape) + "; expected is [sequences + 1]");
    if (array.descr != "<i4" && array.descr != "<i8")
      throw Error(what + "dtype '" + array.descr + "'; it must be int32 or int64");
    call.host.cuSeqlens.assign(array.data.begin(), array.data.end());
    return array.shape[0] - 1;
  }

  void checkSequences() const {
    const std::vector<std::int64_t>& starts = call.host.cuSeqlens;
    if (sizeOf("B") != 1)
      throw Error("the inputs have B=" + std::to_string(sizeOf("B")) + "; with " + packing +
                  " it must be 1, as sequences follow each other on the axis T");
    if (starts.front() != 0 || starts.back() != sizeOf("T") ||
        !std::is_sorted(starts.begin(), starts.end()))
      throw Error(std::string("'") + packing + "' is " + toString(starts) +
                  "; it must begin with 0, never fall, and end with the number of tokens, T=" +
                  std::to_string(sizeOf("T")));
  }

  [[noreturn]] void reject(const std::string& name, const std::string& known) const {
    throw Error("the input holds '" + name + "', which variant " + plan.variant +
                " does not read; it reads " + known);
  }

  void take(const Operand& operand) {
    const auto found = arrays.find(operand.name);
    if (operand.kind == Operand::Kind::output)
      return;
    if (found == arrays.end()) {
      if (operand.kind == Operand::Kind::state || operand.kind == Operand::Kind::constant)
        return;
      throw Error("the input lacks '" + operand.name + "', of shape " +
                  join(axesOf(operand, layout, isPacked)));
    }
    const Array& array = found->second;
    checkShape(operand, array);
    if (operand.kind == Operand::Kind::constant) {
      call.constants[operand.name] = static_cast<float>(array.data.front());
      return;
    }
    const bool isInput = operand.kind == Operand::Kind::input;
    const bool isSwapped = isInput && layout == Layout::bhtd;
    const Array ordered = isSwapped ? swapped(array) : array;
    HostTensor tensor{ordered.shape, ordered.data};
    if (operand.kind == Operand::Kind::state)
      call.host.initial[operand.name] = std::move(tensor);
    else
      call.host.tensors[operand.name] = std::move(tensor);
    if (isInput) {
      call.isHalf = (inputs == 0 || call.isHalf) && array.descr == "<f2";
      call.isDouble = (inputs == 0 || call.isDouble) && array.descr == "<f8";
      ++inputs;
    }
  }

  void checkShape(const Operand& operand, const Array& array) {
    const std::vector<std::string> axes = axesOf(operand, layout, isPacked);
    bool fits = axes.size() == array.shape.size();
    for (std::size_t i = 0; fits && i < axes.size(); ++i) {
      if (axes[i] == "H")
        heads = std::max(heads, array.shape[i]);
      else
        fits = sizes.try_emplace(axes[i], array.shape[i]).first->second == array.shape[i];
    }
    if (fits)
      return;
    std::string known;
    for (const std::string& axis : axes)
      if (const auto size = sizes.find(axis); size != sizes.end())
        known += (known.empty() ? " with " : ", ") + axis + "=" + std::to_string(size->second);
    throw Error("'" + operand.name + "' has shape " + toString(array.shape) + "; expected is " +
                join(axes) + known +
                (layout == Layout::bthd ? " (--layout bhtd: heads first)" : ""));
  }

  void checkHeads() const {
    for (const Operand& operand : plan.operands) {
      if (operand.kind != Operand::Kind::input)
        continue;
      const std::int64_t own = call.host.tensors.at(operand.name).shape[2];
      if (own == 0 || heads % own != 0)
        throw Error("'" + operand.name + "' has " + std::to_string(own) +
                    " heads, which do not divide " + std::to_string(heads) +
                    ", the most of any array");
    }
  }

  void completeSizes() {
    try {
      call.dims = completeDims(plan.variant, plan.rules, std::move(call.dims));
    } catch (const std::invalid_argument& error) {
      throw Error(error.what());
    }
  }

  std::int64_t sizeOf(const std::string& axis) const {
    const auto found = sizes.find(axis);
    return found == sizes.end() ? 1 : found->second;
  }

  const Plan& plan;
  const Arrays& arrays;
  Layout layout;
  FileCall call;
  std::map<std::string, std::int64_t> sizes;
  std::int64_t heads = 0;
  int inputs = 0;
  bool isPacked = false;
};

}  // namespace

FileCall callOf(const Plan& plan, const Arrays& arrays, Layout layout) {
  return Reader(plan, arrays, layout).read();
}

Arrays arraysOf(const HostResult& result, Layout layout, const std::string& descr) {
  Arrays arrays;
  for (const auto& [name, tensor] : result.outputs) {
    arrays[name] = {tensor.shape, tensor.data, descr};
    if (layout == Layout::bhtd)
      arrays[name] = swapped(arrays[name]);
  }
  for (const auto& [name, tensor] : result.states)
    arrays[name] = {tensor.shape, tensor.data, descr};
  return arrays;
}

void roundTo(const Plan& plan, const Signature& signature, HostCall& call) {
  for (std::size_t i = 0; i < plan.operands.size(); ++i)
    for (auto* tensors : {&call.tensors, &call.initial})
      if (const auto found = tensors->find(plan.operands[i].name); found != tensors->end())
        for (double& number : found->second.data)
          number = lathe::roundTo(signature.dtypes.at(i), number);
}

}  // namespace lathe::tool
