// From a schedule to a function of MLIR's own dialects.
#pragma once

#include "compiler/cpu/Frame.h"
#include "compiler/cuda/Kernel.h"
#include "mlir/IR/BuiltinOps.h"

namespace lathe::cpu {

/// One function to emit.
struct Emission {
  const reference::Program* program;
  const Memory* memory;
  const Schedule* schedule;
  std::vector<DType> dtypes;  ///< Of each declaration; states and consts are fp32.
  std::string name;
};

/// Adds the function `void name(frame)` to the module; the bytes of scratch memory that it needs.
long emitFunction(const Emission& emission, mlir::ModuleOp module);

}  // namespace lathe::cpu
