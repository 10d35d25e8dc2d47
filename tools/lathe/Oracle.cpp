#include "tools/lathe/Oracle.h"

#include <algorithm>
#include <memory>
#include <thread>

namespace lathe::tool {

HostResult interpretCall(const CompiledVariant& variant, const std::map<std::string, int>& dims,
                         const HostCall& call, const std::map<std::string, float>& constants,
                         int chunk) {
  Arguments arguments;
  arguments.dims = dims;
  for (const auto* tensors : {&call.tensors, &call.initial})
    for (const auto& [name, tensor] : *tensors)
      arguments.inputs[name] = {tensor.shape, tensor.data};
  arguments.constants.insert(constants.begin(), constants.end());
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Results results = interpret(variant, arguments, chunk, threads);
  HostResult result;
  for (auto& [name, tensor] : results.outputs)
    result.outputs[name] = {std::move(tensor.shape), std::move(tensor.data)};
  for (auto& [name, tensor] : results.states)
    result.states[name] = {std::move(tensor.shape), std::move(tensor.data)};
  return result;
}

Oracle oracleOf(const CompiledVariant& variant) {
  auto kept = std::make_shared<const CompiledVariant>(variant);
  return [kept](const Plan&, const Signature& signature, const Shape&, const HostCall& call) {
    return interpretCall(*kept, signature.dims, call, {}, 0);
  };
}

}  // namespace lathe::tool
