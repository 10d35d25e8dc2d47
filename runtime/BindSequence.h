// The tensors of a call and the temporaries between the steps of a sequence, as each step sees
// them.
#pragma once

#include "runtime/Sequence.h"

#include <optional>
#include <set>

namespace lathe::binding {

/// Throws std::invalid_argument where the sequence has no temporary of this name.
const Temporary& temporaryOf(const KernelSequence& sequence, const std::string& name);

/// Threads that add up one element of such a sum.
int lanesOf(SumStep::Over over);

/// One call of a sequence.
class SequenceCall {
public:
  /// Throws ArgumentError for names that no step knows, and where shapes say nothing of the sizes
  /// of the launch.
  SequenceCall(const KernelSequence& sequence,
               const std::vector<std::unique_ptr<PreparedKernel>>& kernels, const Call& call);

  int device() const { return gpu; }

  /// Nothing where nothing that it writes is wanted.
  std::optional<LaunchPlan> bind(const KernelStep& step, const Binder& binder);
  /// Nothing where the sum is not wanted or is what a step has written.
  std::optional<LaunchPlan> bind(const SumStep& step);
  std::optional<LaunchPlan> bind(const DotStep& step);
  /// The workspace of all, and what must be zero before.
  void finish(SequenceLaunch& launch);

private:
  void findSizes(const std::vector<std::unique_ptr<PreparedKernel>>& kernels);
  void refuseUnknown(const std::vector<std::unique_ptr<PreparedKernel>>& kernels) const;
  void findWanted(const std::vector<std::unique_ptr<PreparedKernel>>& kernels);
  bool isWanted(const KernelStep& step, const Binder& binder) const;
  void placeTemporaries();
  std::vector<std::int64_t> shapeOf(const Temporary& temporary) const;
  const TensorView* given(const std::string& name) const;
  std::optional<TensorView> find(const std::string& name) const;
  void checkSum(const SumStep& step, const Temporary& from, const TensorView& to) const;

  const KernelSequence& sequence;
  const Call& call;
  std::int64_t batch = 0, tokens = 0, heads = 0, sequences = 0;
  int gpu = 0;
  std::set<const KernelStep*> running;  ///< Those of whose results any is wanted.
  std::set<std::string> wanted;         ///< Temporaries that steps read.
  std::set<std::string> placed;         ///< Those, and what steps write that they cannot leave out.
  std::map<std::string, TensorView> temporaries;
  std::vector<SequenceLaunch::Zero> zeros;
  std::size_t temporaryBytes = 0, stepBytes = 0;
};

}  // namespace lathe::binding
