// Gradients in double precision: the oracle of every backward pass. No MLIR.
#pragma once

#include "compiler/reference/Interpreter.h"

namespace lathe {

/// What the loss sends back; a missing output or state sends nothing.
struct Cotangents {
  std::map<std::string, Tensor> outputs;  ///< [B, T, H, dims]
  std::map<std::string, Tensor> states;   ///< Of the final states: [B, H, dims].
};

/// The gradient of the loss after everything that a call passes.
struct Gradients {
  /// In the shapes of Arguments::inputs: inputs [B, T, H', dims], summed over the heads that read
  /// one; params [H, dims]; initial states [B, H, dims], also of those that were not passed.
  std::map<std::string, Tensor> inputs;
  std::map<std::string, double> constants;  ///< Of every const.
};

namespace reference {

/// Runs an adjoint program (derive-gradient) of a call. `chunk` and `threads`: as of interpret.
/// Throws std::invalid_argument as interpret does, and where a cotangent has another shape than
/// what it belongs to or belongs to nothing.
Gradients differentiate(const Program& adjoint, const Arguments& arguments,
                        const Cotangents& cotangents, int chunk, int threads);

}  // namespace reference
}  // namespace lathe
