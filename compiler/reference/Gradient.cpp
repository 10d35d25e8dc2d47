#include "compiler/reference/Gradient.h"

#include "compiler/plan/Dims.h"

#include <stdexcept>
#include <string_view>

namespace lathe::reference {

namespace {

using Kind = Declaration::Kind;

constexpr std::string_view prefix = "d.";

/// The declaration of which one of the adjoint is the gradient; null where it is none.
const Declaration* originalOf(const Program& adjoint, const Declaration& declaration) {
  if (!declaration.name.starts_with(prefix))
    return nullptr;
  for (const Declaration& own : adjoint.declarations)
    if (own.name == declaration.name.substr(prefix.size()))
      return &own;
  return nullptr;
}

/// Sums blocks of `count` consecutive elements along an axis of `size` into one.
Tensor summed(const Tensor& tensor, std::int64_t outer, std::int64_t size, std::int64_t inner,
              std::int64_t kept) {
  Tensor result{tensor.shape, std::vector<double>(outer * kept * inner)};
  const std::int64_t group = size / kept;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < size; ++i)
      for (std::int64_t d = 0; d < inner; ++d)
        result.data[(o * kept + i / group) * inner + d] += tensor.data[(o * size + i) * inner + d];
  return result;
}

/// [B, H, dims] summed over the batch.
Tensor overBatch(const Tensor& tensor) {
  const std::int64_t batch = tensor.shape[0];
  Tensor result = summed(tensor, 1, batch, std::ssize(tensor.data) / batch, 1);
  result.shape.erase(result.shape.begin());
  return result;
}

/// [B, T, H, dims] summed over the heads that read one of `heads`.
Tensor overHeads(const Tensor& tensor, std::int64_t heads) {
  const std::int64_t outer = tensor.shape[0] * tensor.shape[1], all = tensor.shape[2];
  if (outer == 0)
    return tensor;
  Tensor result = summed(tensor, outer, all, std::ssize(tensor.data) / (outer * all), heads);
  result.shape[2] = heads;
  return result;
}

}  // namespace

Gradients differentiate(const Program& adjoint, const Arguments& arguments,
                        const Cotangents& cotangents, int chunk, int threads) {
  Arguments call = arguments;
  call.dims = completeDims(adjoint.variant, adjoint.rules, arguments.dims);
  std::int64_t batch = 0, tokens = 0, heads = 0;
  for (const Declaration& declaration : adjoint.declarations) {
    const auto given = arguments.inputs.find(declaration.name);
    if (given == arguments.inputs.end() || given->second.shape.empty())
      continue;
    const std::vector<std::int64_t>& shape = given->second.shape;
    if (declaration.kind == Kind::input && shape.size() > 2) {
      batch = shape[0];
      tokens = shape[1];
      heads = std::max(heads, shape[2]);
    } else if (declaration.kind == Kind::param) {
      heads = std::max(heads, shape[0]);
    }
  }
  std::size_t used = 0;
  for (const Declaration& declaration : adjoint.declarations) {
    if (declaration.kind != Kind::input && declaration.kind != Kind::state)
      continue;
    if (!declaration.name.starts_with(prefix))
      continue;
    const std::string name = declaration.name.substr(prefix.size());
    const bool isState = declaration.kind == Kind::state;
    const auto& from = isState ? cotangents.states : cotangents.outputs;
    if (const auto given = from.find(name); given != from.end()) {
      call.inputs[declaration.name] = given->second;
      ++used;
    } else if (!isState) {
      Tensor zero{{batch, tokens, heads}, {}};
      std::int64_t count = batch * tokens * heads;
      for (const std::string& dim : declaration.stored) {
        const auto size = call.dims.find(dim);
        zero.shape.push_back(size == call.dims.end() ? 0 : size->second);
        count *= zero.shape.back();
      }
      zero.data.resize(count);
      call.inputs[declaration.name] = std::move(zero);
    }
  }
  if (used != cotangents.outputs.size() + cotangents.states.size())
    throw std::invalid_argument("variant " + adjoint.variant +
                                ": a cotangent belongs to no output or state that has a gradient");

  const Results results = interpret(adjoint, call, chunk, threads);
  Gradients gradients;
  for (const auto& [name, tensor] : results.outputs) {
    const std::string original = name.substr(prefix.size());
    gradients.inputs[original] = overHeads(tensor, arguments.inputs.at(original).shape[2]);
  }
  for (const Declaration& declaration : adjoint.declarations) {
    const Declaration* original = originalOf(adjoint, declaration);
    if (declaration.kind != Kind::state || !original)
      continue;
    const Tensor& tensor = results.states.at(declaration.name);
    if (original->kind == Kind::state)
      gradients.inputs[original->name] = tensor;
    else if (original->kind == Kind::param)
      gradients.inputs[original->name] = overBatch(tensor);
    else
      for (double part : tensor.data)
        gradients.constants[original->name] += part;
  }
  return gradients;
}

}  // namespace lathe::reference
