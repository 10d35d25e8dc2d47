#include "tools/lathe/CpuDevice.h"

namespace lathe::tool {

std::optional<CpuRun> runOnCpuTarget(const CompiledVariant&, const Signature&, const Shape&,
                                     const HostCall&, const std::map<std::string, float>&) {
  return std::nullopt;
}

bool tuneCpuTarget(const CompiledVariant&, bool, const Signature&, const Shape&, double) {
  return false;
}

}  // namespace lathe::tool
