// From MLIR's own dialects to code in memory.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <string>

namespace lathe::cpu {

/// How many numbers of 32 bits a register of this processor holds.
int nativeLanes();

/// Registers what a module that `Jit` takes may hold: func, scf, vector, arith, math, llvm.
void loadDialects(mlir::MLIRContext& context);

/// The functions of one module, compiled for this processor. They live as long as it does.
class Jit {
public:
  /// Lowers the module in place. Throws std::logic_error where it breaks a rule of MLIR or LLVM,
  /// which is a mistake of the compiler, and std::runtime_error where this processor has no target.
  explicit Jit(mlir::ModuleOp module);
  ~Jit();
  Jit(const Jit&) = delete;

  /// The address of a function of the module.
  void* address(const std::string& function) const;

private:
  struct Code;
  std::unique_ptr<Code> code;
};

}  // namespace lathe::cpu
