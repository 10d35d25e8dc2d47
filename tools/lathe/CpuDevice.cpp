#include "tools/lathe/CpuDevice.h"

#include "compiler/cpu/Pool.h"
#include "tuner/CpuCall.h"

#include <chrono>

namespace lathe::tool {

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::optional<CpuRun> runOnCpuTarget(const CompiledVariant& variant, const Signature& signature,
                                     const Shape& shape, const HostCall& host,
                                     const std::map<std::string, float>& constants) {
  const reference::Program& program =
      variant.isStabilised ? variant.normal.program : variant.token.program;
  const cpu::Target target{signature.dims, dtypesByName(variant.plan, signature), 0};
  const double begin = seconds();
  const cpu::Kernel kernel(program, target);
  const double compiled = seconds();
  CpuCall call(program, target, shape, host);
  call.call().constants.insert(constants.begin(), constants.end());
  const double bound = seconds();
  kernel.run(call.call());
  CpuRun run{call.download(), compiled - begin, seconds() - bound, ""};
  run.how = std::to_string(cpu::processors()) + " threads";
  if (!kernel.sliceDim().empty())
    run.how += ", slices of " + std::to_string(kernel.slice()) + " along " + kernel.sliceDim();
  return run;
}

}  // namespace lathe::tool
