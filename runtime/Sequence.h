// Kernels that follow each other, compiled, loaded and ready to launch.
#pragma once

#include "compiler/cuda/KernelSequence.h"
#include "runtime/Prepare.h"

namespace lathe {

/// A bound call of a sequence: what each step launches, and what has to be zero before.
struct SequenceLaunch {
  struct Step {
    const LoadedKernel* kernel;
    LaunchPlan plan;
  };
  struct Zero {
    void* data;
    std::size_t bytes;
  };

  std::vector<Step> steps;
  std::vector<Zero> zeros;
  std::size_t workspaceBytes = 0;
  bool hasWorkspace = false;
  int device = 0;
};

/// As PreparedKernel: a launch only binds and calls the driver, and may be captured in a graph.
/// Thread-safe.
class PreparedSequence {
public:
  /// Throws as PreparedKernel does.
  PreparedSequence(Kernels& kernels, const KernelSequence& sequence, int device);
  ~PreparedSequence();
  PreparedSequence(PreparedSequence&&) noexcept;

  /// Without a workspace in the call the size of that is in the result all the same, but nothing to
  /// launch. Throws ArgumentError.
  SequenceLaunch bind(const Call& call) const;

  /// Throws ArgumentError where the workspace is missing or breaks a rule.
  void launch(const SequenceLaunch& bound, cuda::StreamHandle stream) const;
  void launch(const Call& call, cuda::StreamHandle stream) const { launch(bind(call), stream); }

  /// Those of the kernel steps, in their order.
  const std::vector<std::unique_ptr<PreparedKernel>>& kernels() const;

private:
  struct Parts;
  std::unique_ptr<Parts> parts;
};

}  // namespace lathe
