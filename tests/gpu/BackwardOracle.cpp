#include "tests/gpu/BackwardOracle.h"

#include <algorithm>

namespace lathe::test {

using Kind = Operand::Kind;

std::int64_t countOf(const Shape64& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape)
    count *= size;
  return count;
}

namespace {

HostTensor& at(Expected& gradients, const std::string& name, const Shape64& shape) {
  HostTensor& tensor = gradients[name];
  if (tensor.shape.empty() && tensor.data.empty())
    tensor = {shape, std::vector<double>(std::size_t(countOf(shape)), 0.0)};
  return tensor;
}

/// The tokens of one sequence of a packed tensor, and its row of a state.
Tensor slice(const HostTensor& tensor, int axis, std::int64_t first, std::int64_t count) {
  Shape64 shape = tensor.shape;
  std::int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i)
    outer *= shape[std::size_t(i)];
  for (std::size_t i = std::size_t(axis) + 1; i < shape.size(); ++i)
    inner *= shape[i];
  Tensor part;
  for (std::int64_t o = 0; o < outer; ++o) {
    const auto from = tensor.data.begin() + (o * shape[std::size_t(axis)] + first) * inner;
    part.data.insert(part.data.end(), from, from + count * inner);
  }
  shape[std::size_t(axis)] = count;
  part.shape = shape;
  return part;
}

class SequenceOracle {
public:
  SequenceOracle(const CompiledVariant& variant, const Signature& signature,
                 const BackwardCase& backward, const HostCall& host)
      : variant(variant), signature(signature), backward(backward), host(host) {}

  Expected run() {
    const Shape64& starts = backward.one.how.cuSeqlens;
    if (starts.empty()) {
      for (std::int64_t b = 0; b < backward.one.shape.batch; ++b)
        add(b, b, 0, backward.one.shape.tokens);
    } else {
      for (std::size_t n = 0; n + 1 < starts.size(); ++n)
        add(0, std::int64_t(n), starts[n], starts[n + 1] - starts[n]);
    }
    return std::move(gradients);
  }

private:
  Tensor tokensOf(const HostTensor& tensor, std::int64_t batch, std::int64_t first,
                  std::int64_t count) const {
    const Tensor row = slice(tensor, 0, batch, 1);
    return slice({row.shape, row.data}, 1, first, count);
  }

  void add(std::int64_t batch, std::int64_t sequence, std::int64_t first, std::int64_t count) {
    Arguments arguments;
    Cotangents cotangents;
    arguments.dims = signature.dims;
    for (const Operand& operand : variant.plan.operands) {
      const std::string adjoint = "d." + operand.name;
      if (operand.kind == Kind::input)
        arguments.inputs[operand.name] =
            tokensOf(host.tensors.at(operand.name), batch, first, count);
      else if (operand.kind == Kind::param)
        arguments.inputs[operand.name] = {host.tensors.at(operand.name).shape,
                                          host.tensors.at(operand.name).data};
      else if (operand.kind == Kind::output && !backward.absent.count(adjoint))
        cotangents.outputs[operand.name] = tokensOf(host.tensors.at(adjoint), batch, first, count);
      if (operand.kind != Kind::state)
        continue;
      if (const auto own = host.initial.find(operand.name); own != host.initial.end())
        arguments.inputs[operand.name] = slice(own->second, 0, sequence, 1);
      if (const auto own = host.initial.find(adjoint);
          own != host.initial.end() && !backward.absent.count("initial " + adjoint))
        cotangents.states[operand.name] = slice(own->second, 0, sequence, 1);
    }
    const Gradients found = differentiate(variant, arguments, cotangents, 0, 1);
    for (const Operand& operand : variant.plan.operands)
      if (const auto own = found.inputs.find(operand.name); own != found.inputs.end())
        keep(operand, own->second, batch, sequence, first, count);
    for (const auto& [name, value] : found.constants)
      at(gradients, "d." + name, {}).data[0] += value;
  }

  void keep(const Operand& operand, const Tensor& part, std::int64_t batch, std::int64_t sequence,
            std::int64_t first, std::int64_t count) {
    const std::string name = (operand.kind == Kind::state ? "final d." : "d.") + operand.name;
    const std::int64_t size = std::int64_t(part.data.size());
    if (operand.kind == Kind::param) {
      HostTensor& all = at(gradients, name, part.shape);
      for (std::int64_t i = 0; i < size; ++i)
        all.data[std::size_t(i)] += part.data[std::size_t(i)];
      return;
    }
    Shape64 shape = part.shape;
    std::int64_t place = 0;
    if (operand.kind == Kind::state) {
      const std::size_t starts = backward.one.how.cuSeqlens.size();
      shape[0] = starts ? std::int64_t(starts) - 1 : backward.one.shape.batch;
      place = sequence * size;
    } else {
      const std::int64_t row = count ? size / count : 0;
      shape[0] = backward.one.shape.batch;
      shape[1] = backward.one.shape.tokens;
      place = (batch * shape[1] + first) * row;
    }
    std::copy(part.data.begin(), part.data.end(), at(gradients, name, shape).data.begin() + place);
  }

  const CompiledVariant& variant;
  const Signature& signature;
  const BackwardCase& backward;
  const HostCall& host;
  Expected gradients;
};

}  // namespace

Expected gradientsOf(const BackwardCase& backward, const CompiledVariant& variant,
                     const Signature& signature, const HostCall& host) {
  return SequenceOracle(variant, signature, backward, host).run();
}

}  // namespace lathe::test
