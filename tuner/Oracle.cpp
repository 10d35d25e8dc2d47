#include "tuner/Oracle.h"

#include "tuner/Sequences.h"

#include <algorithm>
#include <memory>
#include <thread>

namespace lathe {

namespace {

template <typename Run>
HostResult runAlone(const std::map<std::string, int>& dims, const HostCall& call,
                    const std::map<std::string, float>& constants, const Run& run) {
  Arguments arguments;
  arguments.dims = dims;
  for (const auto* tensors : {&call.tensors, &call.initial})
    for (const auto& [name, tensor] : *tensors)
      arguments.inputs[name] = {tensor.shape, tensor.data};
  arguments.constants.insert(constants.begin(), constants.end());
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Results results = run(arguments, threads);
  HostResult result;
  for (auto& [name, tensor] : results.outputs)
    result.outputs[name] = {std::move(tensor.shape), std::move(tensor.data)};
  for (auto& [name, tensor] : results.states)
    result.states[name] = {std::move(tensor.shape), std::move(tensor.data)};
  return result;
}

}  // namespace

HostResult interpretCall(const CompiledVariant& variant, const std::map<std::string, int>& dims,
                         const Shape& shape, const HostCall& call,
                         const std::map<std::string, float>& constants, int chunk) {
  return runSequences(variant.plan, dims, shape, call, [&](const HostCall& own) {
    return runAlone(dims, own, constants, [&](const Arguments& arguments, int threads) {
      return interpret(variant, arguments, chunk, threads);
    });
  });
}

Oracle oracleOf(const CompiledVariant& variant) {
  auto kept = std::make_shared<const CompiledVariant>(variant);
  return [kept](const Plan&, const Signature& signature, const Shape& shape, const HostCall& call) {
    return interpretCall(*kept, signature.dims, shape, call, {}, 0);
  };
}

Oracle oracleOf(const reference::Program& program) {
  auto kept = std::make_shared<const reference::Program>(program);
  return [kept](const Plan& plan, const Signature& signature, const Shape& shape,
                const HostCall& call) {
    return runSequences(plan, signature.dims, shape, call, [&](const HostCall& own) {
      return runAlone(signature.dims, own, {}, [&](const Arguments& arguments, int threads) {
        return reference::interpret(*kept, arguments, 0, threads);
      });
    });
  };
}

Oracle adjointOracleOf(const CompiledVariant& variant) {
  return oracleOf(variant.gradient.program);
}

}  // namespace lathe
