#include "tuner/CpuCall.h"

#include "tuner/Numbers.h"

namespace lathe {

using Kind = reference::Declaration::Kind;

CpuCall::CpuCall(const reference::Program& program, const cpu::Target& target, const Shape& shape,
                 const HostCall& host) {
  const auto write = [](const HostTensor& from, const cpu::TensorView& to) {
    encode(to.dtype, from.data.data(), static_cast<std::int64_t>(from.data.size()),
           static_cast<std::byte*>(to.data));
  };
  starts = host.cuSeqlens;
  own.cuSeqlens = std::span<const std::int64_t>(starts);
  for (const reference::Declaration& declaration : program.declarations) {
    const auto given = target.dtypes.find(declaration.name);
    const DType dtype = given == target.dtypes.end() ? DType::f32 : given->second;
    if (declaration.kind == Kind::input || declaration.kind == Kind::param) {
      const auto found = host.tensors.find(declaration.name);
      if (found == host.tensors.end())
        continue;  // The kernel says that it is missing.
      own.tensors[declaration.name] = allocate(dtype, found->second.shape);
      write(found->second, own.tensors[declaration.name]);
      continue;
    }
    if (declaration.kind == Kind::constant)
      continue;
    const bool isState = declaration.kind == Kind::state;
    std::vector<std::int64_t> extents{host.sequences(shape), shape.heads};
    if (!isState)
      extents = {shape.batch, shape.tokens, shape.heads};
    for (const std::string& dim : declaration.stored)
      extents.push_back(target.dims.at(dim));
    if (!isState) {
      own.tensors[declaration.name] = allocate(dtype, extents);
      outputs.push_back(declaration.name);
      continue;
    }
    own.final[declaration.name] = allocate(DType::f32, extents);
    if (const auto found = host.initial.find(declaration.name); found != host.initial.end()) {
      own.initial[declaration.name] = allocate(DType::f32, found->second.shape);
      write(found->second, own.initial[declaration.name]);
    }
  }
}

cpu::TensorView CpuCall::allocate(DType dtype, const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape)
    count *= size;
  constexpr std::byte nan{0xff};  // In every dtype.
  std::vector<std::byte>& data =
      memory.emplace_back(static_cast<std::size_t>(count) * bytes(dtype), nan);
  return cpu::contiguous(data.data(), dtype, shape);
}

HostResult CpuCall::download() const {
  const auto read = [](const cpu::TensorView& view) {
    HostTensor tensor{view.shape, {}};
    std::int64_t count = 1;
    for (const std::int64_t size : view.shape)
      count *= size;
    tensor.data.resize(static_cast<std::size_t>(count));
    decode(view.dtype, static_cast<const std::byte*>(view.data), count, tensor.data.data());
    return tensor;
  };
  HostResult result;
  for (const std::string& name : outputs)
    result.outputs[name] = read(own.tensors.at(name));
  for (const auto& [name, view] : own.final)
    result.states[name] = read(view);
  return result;
}

std::map<std::string, DType> dtypesByName(const Plan& plan, const Signature& signature) {
  std::map<std::string, DType> dtypes;
  for (std::size_t i = 0; i < plan.operands.size(); ++i) {
    const Operand::Kind kind = plan.operands[i].kind;
    if (kind != Operand::Kind::constant && kind != Operand::Kind::state)
      dtypes[plan.operands[i].name] = signature.dtypes.at(i);
  }
  return dtypes;
}

}  // namespace lathe
