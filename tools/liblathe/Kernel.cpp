#include "tools/liblathe/Kernel.h"

#include "compiler/cpu/OfProcess.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace lathe::abi {

using nlohmann::json;

const char* name(TensorRule::Role role) {
  using Role = TensorRule::Role;
  switch (role) {
  case Role::input:
    return "input";
  case Role::param:
    return "param";
  case Role::output:
    return "output";
  case Role::initialState:
    return "initial state";
  case Role::finalState:
    return "final state";
  case Role::cotangent:
    return "cotangent";
  case Role::stateCotangent:
    return "state cotangent";
  case Role::gradient:
    return "gradient";
  case Role::constantGradient:
    return "constant gradient";
  case Role::stateGradient:
    return "state gradient";
  }
  return "";
}

std::mutex& measuring() { return ofProcess<std::mutex>(); }

std::string keyOf(const Variant& variant, const Request& request) {
  std::ostringstream key;
  // A kernel holds its variant, so that no other is at this address while the kernel lives.
  key << &variant << " " << request.isCuda << request.device << " "
      << (request.pass == LATHE_BACKWARD);
  for (const auto& [dim, size] : request.signature.dims)
    key << " " << dim << "=" << size;
  for (const DType dtype : request.signature.dtypes)
    key << " " << name(dtype);
  key << " " << name(request.signature.compute) << " " << request.signature.pairedHeads;
  return key.str();
}

std::string describe(const Variant& variant, const Request& request, const Prepared& prepared) {
  const Kernel& kernel = *prepared.kernel;
  json tensors = json::array(), constants = json::array();
  for (const TensorRule& rule : kernel.tensors) {
    json sizes = json::array();
    for (const std::int64_t size : rule.sizes)
      sizes.push_back(size < 0 ? json() : json(size));
    tensors.push_back({{"name", rule.name},
                       {"operand", rule.operand},
                       {"role", name(rule.role)},
                       {"dtype", name(rule.dtype)},
                       {"axes", rule.axes},
                       {"sizes", sizes},
                       {"written", rule.isWritten},
                       {"optional", rule.isOptional}});
  }
  for (const auto& [constant, value] : kernel.constants)
    constants.push_back({{"name", constant}, {"default", value}});
  const json out = {{"variant", variant.compiled.name},
                    {"pass", name(request.pass)},
                    {"device", {{"type", request.isCuda ? "cuda" : "cpu"}, {"id", request.device}}},
                    {"dims", request.signature.dims},
                    {"tensors", tensors},
                    {"constants", constants},
                    {"family", kernel.family},
                    {"tile", prepared.tile},
                    {"choice", prepared.choice},
                    {"origin", kernel.origin}};
  return out.dump();
}

std::vector<std::pair<std::string, double>> defaultsOf(const Plan& plan,
                                                       const Signature& signature) {
  KernelSource all;
  for (std::size_t i = 0; i < plan.operands.size(); ++i)
    if (plan.operands[i].kind == Operand::Kind::constant)
      all.constants.push_back(static_cast<int>(i));
  std::vector<std::pair<std::string, double>> defaults;
  if (all.constants.empty())
    return defaults;
  const std::vector<float> values = defaultConstants(plan, signature, all);
  for (std::size_t i = 0; i < values.size(); ++i)
    defaults.emplace_back(plan.operands[static_cast<std::size_t>(all.constants[i])].name,
                          values[i]);
  return defaults;
}

}  // namespace lathe::abi
