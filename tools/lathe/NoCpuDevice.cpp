#include "runtime/Error.h"
#include "tools/lathe/CpuDevice.h"

namespace lathe::tool {

bool hasCpuTarget() { return false; }

CpuRun runOnCpuTarget(const CompiledVariant&, const Signature&, const Shape&, const HostCall&,
                      const std::map<std::string, float>&) {
  throw Error("this program is linked without the CPU target; accepted are interpreter and cuda:0");
}

bool tuneCpuTarget(const CompiledVariant&, bool, const Signature&, const Shape&, double) {
  return false;
}

}  // namespace lathe::tool
