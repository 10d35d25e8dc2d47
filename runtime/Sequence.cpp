#include "runtime/Sequence.h"

#include "compiler/cuda/Dot.h"
#include "compiler/cuda/Segments.h"
#include "compiler/cuda/Sum.h"
#include "runtime/BindSequence.h"

namespace lathe {

struct PreparedSequence::Parts {
  KernelSequence sequence;
  int device;
  std::vector<std::unique_ptr<PreparedKernel>> kernels;
  std::vector<std::unique_ptr<LoadedKernel>> others;  ///< Of the other steps.
};

PreparedSequence::PreparedSequence(Kernels& kernels, const KernelSequence& sequence, int device)
    : parts(std::make_unique<Parts>(Parts{sequence, device, {}, {}})) {
  for (const auto& step : sequence.steps) {
    if (const auto* kernel = std::get_if<KernelStep>(&step)) {
      parts->kernels.push_back(std::make_unique<PreparedKernel>(
          kernels, kernel->plan, kernel->source, kernel->signature, device));
      continue;
    }
    if (const auto* dot = std::get_if<DotStep>(&step)) {
      parts->others.push_back(std::make_unique<LoadedKernel>(kernels, emitDot(dot->dtype), device));
      continue;
    }
    const auto& sum = std::get<SumStep>(step);
    const DType dtype = binding::temporaryOf(sequence, sum.from).dtype;
    parts->others.push_back(std::make_unique<LoadedKernel>(
        kernels, emitSum(dtype, dtype, binding::lanesOf(sum.over)), device));
  }
}

PreparedSequence::~PreparedSequence() = default;
PreparedSequence::PreparedSequence(PreparedSequence&&) noexcept = default;

const std::vector<std::unique_ptr<PreparedKernel>>& PreparedSequence::kernels() const {
  return parts->kernels;
}

SequenceLaunch PreparedSequence::bind(const Call& call) const {
  binding::SequenceCall bound(parts->sequence, parts->kernels, call);
  SequenceLaunch result;
  result.device = bound.device();
  auto kernel = parts->kernels.begin();
  auto other = parts->others.begin();
  for (const auto& step : parts->sequence.steps) {
    const LoadedKernel* code = nullptr;
    std::optional<LaunchPlan> plan;
    if (const auto* own = std::get_if<KernelStep>(&step)) {
      const PreparedKernel& prepared = **kernel++;
      code = &prepared.code();
      plan = bound.bind(*own, prepared.binder());
    } else {
      code = (other++)->get();
      if (const auto* dot = std::get_if<DotStep>(&step))
        plan = bound.bind(*dot);
      else
        plan = bound.bind(std::get<SumStep>(step));
    }
    if (plan)
      result.steps.push_back({code, *plan});
  }
  bound.finish(result);
  return result;
}

void PreparedSequence::launch(const SequenceLaunch& bound, cuda::StreamHandle stream) const {
  if (bound.workspaceBytes && !bound.hasWorkspace)
    throw ArgumentError("the passes of " + parts->sequence.variant + " need a workspace of " +
                        std::to_string(bound.workspaceBytes) +
                        " bytes for this launch; SequenceLaunch::workspaceBytes says how many, "
                        "Call::workspace passes it");
  if (bound.steps.empty())
    return;
  cuda::ContextScope scope(parts->device);
  for (const SequenceLaunch::Zero& zero : bound.zeros)
    cuda::check(
        cuda::api().memset8(reinterpret_cast<cuda::Pointer>(zero.data), 0, zero.bytes, stream),
        "to clear " + std::to_string(zero.bytes) + " bytes");
  for (const SequenceLaunch::Step& step : bound.steps)
    step.kernel->launch(step.plan, stream);
}

}  // namespace lathe
