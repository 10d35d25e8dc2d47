// Random calls of a backward pass: what benchmarks and GPU tests run sequences of kernels on.
#pragma once

#include "runtime/Sequence.h"
#include "tuner/Workload.h"

#include <set>

namespace lathe {

/// A backward call on the device, as compiler/cuda/Backward.h has it: owns its memory. What it
/// writes is poisoned with NaN and stands between canaries.
class BackwardCall {
public:
  /// `signature` is that of the forward pass. `host` holds inputs and params, "d.o" of the outputs
  /// that the loss sends something back to, initial states, and among these "d.S" of the final
  /// states that it does; as `draw` makes of `adjoint`, whose other states are left out. With
  /// `states`, the gradients of the initial states are asked for; those of `fixed` inputs, params
  /// and consts are not.
  BackwardCall(const Plan& plan, const Plan& adjoint, const Signature& signature,
               const Shape& shape, const HostCall& host, bool states = true, int device = 0,
               const std::set<std::string>& fixed = {});

  const Call& call() const;
  /// Bound to a workspace of its own, with these constants instead of the spec's.
  SequenceLaunch bind(const PreparedSequence& sequence,
                      const std::map<std::string, float>& constants = {});
  /// Writes NaN over what is written, and over the workspace behind its head.
  void poison();
  /// Waits for the GPU. Gradients by the names of what they belong to: `outputs` of inputs, params
  /// and consts ([1]), `states` of initial states. Throws as DeviceCall::download.
  HostResult download() const;

private:
  struct Impl;
  std::shared_ptr<Impl> impl;
};

}  // namespace lathe
