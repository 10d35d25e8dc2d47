#include "tools/liblathe/Request.h"

#include "compiler/cuda/ParseSignature.h"
#include "tools/liblathe/Failure.h"

#include <algorithm>

namespace lathe::abi {

namespace {

/// The result of `parse`; what it does not accept is the caller's mistake in a field.
template <typename Parse> auto parsed(const char* field, const char* given, const Parse& parse) {
  try {
    return parse(std::string(given ? given : ""));
  } catch (const std::invalid_argument& error) {
    reject(std::string(field) + (given ? " \"" + std::string(given) + "\"" : " null") + ": " +
           error.what());
  }
}

std::map<std::string, int> dimsOf(const Plan& plan, const char* text) {
  return parsed("dims", text, [&](const std::string& given) {
    const std::map<std::string, int> sizes = parseSizes(given, plan);
    std::vector<std::string> missing;
    for (const std::string& dim : plan.dims)
      if (!sizes.contains(dim))
        missing.push_back(dim);
    if (!missing.empty())
      throw std::invalid_argument("variant " + plan.variant + " needs a size for " +
                                  joinWords(missing) + " too; write " +
                                  joinWords({plan.dims.front() + "=128", "..."}));
    return sizes;
  });
}

Signature dtypesOf(const Plan& plan, const char* text, bool isCuda) {
  return parsed("dtypes", text, [&](const std::string& given) {
    Signature signature = parseDTypes(given, plan, DType::f32);
    for (std::size_t i = 0; i < plan.operands.size(); ++i)
      if (!isCuda && plan.operands[i].kind == Operand::Kind::state &&
          signature.dtypes[i] != DType::f32)
        throw std::invalid_argument("state " + plan.operands[i].name + " is " +
                                    name(signature.dtypes[i]) + "; on the CPU states are f32");
    return signature;
  });
}

/// A size of the shape; 0 is the usual one.
std::int64_t sizeOf(const char* field, std::int64_t given, std::int64_t usual) {
  if (given < 0)
    reject(std::string(field) + " is " + std::to_string(given) +
           "; it must be at least 1, or 0 for " + std::to_string(usual));
  return given == 0 ? usual : given;
}

}  // namespace

const char* name(lathe_pass pass) {
  return pass == LATHE_FORWARD ? "forward" : pass == LATHE_BACKWARD ? "backward" : "step";
}

void checkSize(const char* type, std::size_t given, std::size_t own) {
  if (given != own)
    reject(std::string(type) + ".struct_size is " + std::to_string(given) + "; it must be " +
           std::to_string(own) + ", the sizeof of ABI version " +
           std::to_string(LATHE_ABI_VERSION));
}

Request readOptions(const Variant& variant, const lathe_options& options) {
  checkSize("lathe_options", options.struct_size, sizeof(lathe_options));
  Request request;
  if (options.pass < LATHE_FORWARD || options.pass > LATHE_STEP)
    reject("pass is " + std::to_string(options.pass) +
           "; it must be LATHE_FORWARD (0), LATHE_BACKWARD (1) or LATHE_STEP (2)");
  request.pass = static_cast<lathe_pass>(options.pass);
  // The number is the caller's, and may be none of the enum.
  const int type = static_cast<int>(options.device.device_type);
  if (type != kDLCPU && type != kDLCUDA)
    reject("device has the type " + std::to_string(type) +
           "; it must be kDLCPU (1) or kDLCUDA (2)");
  request.isCuda = type == kDLCUDA;
  request.device = request.isCuda ? options.device.device_id : 0;
  const Plan& plan = variant.compiled.plan;
  request.signature = dtypesOf(plan, options.dtypes, request.isCuda);
  request.signature.dims = dimsOf(plan, options.dims);
  constexpr std::int64_t usualTokens = 1024, usualHeads = 8;
  request.shape = {sizeOf("batch", options.batch, 1),
                   sizeOf("tokens", options.tokens, request.pass == LATHE_STEP ? 1 : usualTokens),
                   sizeOf("heads", options.heads, usualHeads)};
  return request;
}

}  // namespace lathe::abi
