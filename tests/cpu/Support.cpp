#include "tests/cpu/Support.h"

#include "compiler/cpu/Element.h"
#include "compiler/plan/Dims.h"

#include <algorithm>
#include <filesystem>

namespace lathe::test {

using reference::Declaration;

namespace {

/// A tensor in memory of its own, every byte of which is a NaN at first.
class Memory {
public:
  Memory(std::vector<std::int64_t> shape, DType dtype, bool isHeadFirst, bool hasTokens)
      : shape(std::move(shape)), dtype(dtype) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < this->shape.size(); ++i)
      order.push_back(i);
    if (isHeadFirst && hasTokens)
      std::swap(order[1], order[2]);
    const std::int64_t gap = isHeadFirst && hasTokens ? 3 : 0;
    strides.resize(this->shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = order.size(); i-- > 0;) {
      strides[order[i]] = stride;
      stride = stride * this->shape[order[i]] + (i + 1 == order.size() ? gap : 0);
    }
    data.assign(static_cast<std::size_t>(stride) * bytes(dtype), std::byte{0xff});
  }

  cpu::TensorView view() { return {data.data(), dtype, shape, strides}; }

  void write(const Tensor& tensor) {
    forEach([&](std::size_t i, std::int64_t at) {
      cpu::writeElement(data.data() + at * bytes(dtype), static_cast<float>(tensor.data[i]), dtype);
    });
  }

  Tensor read() const {
    Tensor tensor{shape, {}};
    forEach([&](std::size_t, std::int64_t at) {
      tensor.data.push_back(cpu::readElement(data.data() + at * bytes(dtype), dtype));
    });
    return tensor;
  }

private:
  template <typename Visit> void forEach(const Visit& visit) const {
    std::int64_t count = 1;
    for (std::int64_t size : shape)
      count *= size;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t rest = i, at = 0;
      for (std::size_t axis = shape.size(); axis-- > 0;) {
        at += rest % shape[axis] * strides[axis];
        rest /= shape[axis];
      }
      visit(static_cast<std::size_t>(i), at);
    }
  }

  std::vector<std::int64_t> shape, strides;
  DType dtype;
  std::vector<std::byte> data;
};

}  // namespace

std::vector<std::string> libraryFolder() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(LATHE_SOURCE_DIR) + "/variants"))
    if (entry.path().extension() == ".lathe")
      names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, int> sizesOf(const CompiledVariant& variant, const std::vector<int>& sizes) {
  std::map<std::string, int> dims;
  std::size_t next = 0;
  for (const std::string& dim : variant.plan.dims) {
    const std::vector<DerivedDim>& derived = variant.plan.rules.derived;
    const auto& even = variant.plan.rules.even;
    const bool isDerived = std::any_of(derived.begin(), derived.end(),
                                       [&](const DerivedDim& own) { return own.dim == dim; });
    if (isDerived)
      continue;
    const bool isEven = std::find(even.begin(), even.end(), dim) != even.end();
    const int size = sizes[next++ % sizes.size()];
    dims[dim] = size + (isEven ? size % 2 : 0);
  }
  return completeDims(variant.name, variant.plan.rules, dims);
}

double rounded(double value, DType dtype) {
  std::byte memory[4];
  cpu::writeElement(memory, static_cast<float>(value), dtype);
  return cpu::readElement(memory, dtype);
}

void roundInputs(Arguments& call, const std::map<std::string, DType>& dtypes) {
  for (auto& [name, tensor] : call.inputs) {
    const auto found = dtypes.find(name);
    for (double& element : tensor.data)
      element = rounded(element, found == dtypes.end() ? DType::f32 : found->second);
  }
}

std::vector<std::string> logsOf(const CompiledVariant& variant) {
  std::vector<std::string> logs;
  for (const Operand& operand : variant.plan.operands)
    if (operand.log)
      logs.push_back(operand.name);
  return logs;
}

Arguments randomCall(const reference::Program& program, const std::vector<std::string>& logs,
                     const Extent& extent, const std::map<std::string, int>& dims) {
  CompiledVariant variant;
  const auto declares = [&](const std::string& name, Declaration::Kind kind) {
    return std::any_of(
        program.declarations.begin(), program.declarations.end(),
        [&](const Declaration& own) { return own.name == name && own.kind == kind; });
  };
  for (const Declaration& declaration : program.declarations) {
    const bool isTotal = declaration.kind == Declaration::Kind::state &&
                         declaration.name.starts_with("d.") &&
                         !declares(declaration.name.substr(2), Declaration::Kind::state);
    if (isTotal)
      continue;
    Operand operand;
    operand.name = declaration.name;
    operand.dims = declaration.stored;
    operand.kind = static_cast<Operand::Kind>(declaration.kind);
    operand.log = std::find(logs.begin(), logs.end(), declaration.name) != logs.end();
    variant.plan.operands.push_back(operand);
  }
  Arguments call = randomCall(variant, extent, dims);
  roundInputs(call, {});
  return call;
}

Results runOnCpu(const reference::Program& program, const Arguments& arguments,
                 const CpuOptions& options) {
  cpu::Target target;
  target.dims = arguments.dims;
  target.dtypes = options.dtypes;
  target.slice = options.slice;
  const cpu::Kernel kernel(program, target);

  std::int64_t batch = 0, tokens = 0, heads = 1;
  for (const Declaration& declaration : program.declarations) {
    const auto given = arguments.inputs.find(declaration.name);
    if (given == arguments.inputs.end() || declaration.kind == Declaration::Kind::state)
      continue;
    const bool isInput = declaration.kind == Declaration::Kind::input;
    heads = std::max(heads, given->second.shape[isInput ? 2 : 0]);
    if (isInput) {
      batch = given->second.shape[0];
      tokens = given->second.shape[1];
    }
  }
  const std::int64_t sequences =
      options.lengths.empty() ? batch : static_cast<std::int64_t>(options.lengths.size());

  cpu::Call call;
  std::map<std::string, Memory> tensors, initial, final;
  for (const Declaration& declaration : program.declarations) {
    const auto dtype = options.dtypes.find(declaration.name);
    const DType own = dtype == options.dtypes.end() ? DType::f32 : dtype->second;
    const auto given = arguments.inputs.find(declaration.name);
    std::vector<std::int64_t> shape;
    const bool isState = declaration.kind == Declaration::Kind::state;
    if (isState)
      shape = {sequences, heads};
    else if (declaration.kind == Declaration::Kind::output)
      shape = {batch, tokens, heads};
    else if (declaration.kind == Declaration::Kind::constant)
      continue;
    if (given == arguments.inputs.end() || isState)
      for (const std::string& dim : declaration.stored)
        shape.push_back(arguments.dims.at(dim));
    else
      shape = given->second.shape;
    const bool hasTokens = !isState && declaration.kind != Declaration::Kind::param;
    const auto add = [&](auto& memories, auto& views, const Tensor* content) {
      Memory& memory =
          memories.emplace(declaration.name, Memory(shape, own, options.isHeadFirst, hasTokens))
              .first->second;
      if (content)
        memory.write(*content);
      views[declaration.name] = memory.view();
    };
    const Tensor* content = given == arguments.inputs.end() ? nullptr : &given->second;
    if (!isState)
      add(tensors, call.tensors, content);
    else if (content)
      add(initial, call.initial, content);
    if (isState)
      add(final, call.final, nullptr);
  }
  call.constants = arguments.constants;
  call.threads = options.threads;
  call.spacing = options.spacing;
  std::vector<std::int64_t> starts{0};
  for (std::int64_t length : options.lengths)
    starts.push_back(starts.back() + length);
  if (!options.lengths.empty())
    call.cuSeqlens = std::span<const std::int64_t>(starts);
  kernel.run(call);

  Results results;
  for (const Declaration& declaration : program.declarations) {
    if (declaration.kind == Declaration::Kind::output)
      results.outputs[declaration.name] = tensors.at(declaration.name).read();
    if (declaration.kind == Declaration::Kind::state)
      results.states[declaration.name] = final.at(declaration.name).read();
  }
  return results;
}

}  // namespace lathe::test
