// The backward pass of a variant as kernels.
//
// It takes the inputs and params of the forward pass, "d.o" for what the loss sends back to output
// o, as initial state "d.S" what it sends back to the final state S, and gives "d.x" for each
// input, param ([heads, dims], fp32) and const (one number, fp32), and as final state "d.S" the
// gradient of the initial state. What the loss does not send back may be absent, and so may what is
// not wanted. An input with fewer heads gets the sum over the heads that read it.
#pragma once

#include "compiler/cuda/KernelSequence.h"

namespace lathe {

/// The signature of the adjoint of a plan: gradients have the dtype of what they belong to, those
/// of params, consts and states fp32.
Signature adjointSignature(const Plan& plan, const Plan& adjoint, const Signature& signature);

/// Around steps that write "d.x" for each input of the adjoint's variant, "final d.p" for each
/// param and const, the temporaries and sums that make a call of it. `steps` must name what they
/// write so.
KernelSequence closeBackward(const Plan& plan, const Plan& adjoint, const Signature& signature,
                             std::vector<KernelStep> steps);

/// The backward pass by the sequential family, for any plan that has kernels: `adjoint` is
/// CompiledVariant::backward. `tile.chunk`: tokens between two checkpoints of the states, from
/// which those between are computed again; 0: all that the way back needs of the way there is kept.
/// Throws std::invalid_argument as `emit` does.
KernelSequence emitSequentialBackward(const Plan& plan, const Plan& adjoint,
                                      const Signature& signature, const Tile& tile);

}  // namespace lathe
