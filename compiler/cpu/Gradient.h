// The gradient of a call, from the adjoint program of a variant. No MLIR.
#pragma once

#include "compiler/cpu/Cpu.h"

namespace lathe::cpu {

/// A compiled adjoint, which sums what several sequences and heads send back to one tensor.
class Gradient {
public:
  /// `adjoint` is CompiledVariant::gradient; dtypes of gradients go by their names, "d.q". Those of
  /// params and consts are fp32. Errors are those of Kernel.
  Gradient(const reference::Program& adjoint, const Target& target);

  /// Takes in `tensors` the inputs and params of the call, "d.o" for what the loss sends back to
  /// output o (absent: nothing), and "d.x" for each gradient that is wanted, written: of an input
  /// in its own shape, so that an input with fewer heads gets the sum of all that read it; of a
  /// param [heads, dims]; of a const, one number without axes. `initial` holds the initial states,
  /// and as "d.S" what the loss sends back to the final state S; `final` takes as "d.S" the
  /// gradient of the initial state. Sums are in the same order for any number of threads. Errors
  /// are those of Kernel::run.
  void run(const Call& call) const;

private:
  reference::Program program;
  Target target;
  Kernel kernel;
};

}  // namespace lathe::cpu
