// The CPU target as the command line calls it. Programs for GPU nodes are linked without it: it
// brings LLVM along.
#pragma once

#include "compiler/Compile.h"
#include "tuner/Workload.h"

#include <map>
#include <string>

namespace lathe::tool {

/// A call of the CPU target.
struct CpuRun {
  HostResult result;
  double compileSeconds = 0, runSeconds = 0;
  std::string how;  ///< "2 threads, slices of 64 along V".
};

/// Whether this program is linked with it.
bool hasCpuTarget();

/// Runs a variant with tensors of the dtypes of `signature`. Throws std::invalid_argument for what
/// breaks a rule of the call, Error where this program has no CPU target.
CpuRun runOnCpuTarget(const CompiledVariant& variant, const Signature& signature,
                      const Shape& shape, const HostCall& call,
                      const std::map<std::string, float>& constants);

/// Tunes the CPU target for a shape and prints what came of it; whether this program has one.
bool tuneCpuTarget(const CompiledVariant& variant, bool isGradient, const Signature& signature,
                   const Shape& shape, double budgetSeconds);

}  // namespace lathe::tool
