// Kernels of the CPU target.
#include "compiler/cpu/Gradient.h"
#include "compiler/cpu/OfProcess.h"
#include "tools/liblathe/CpuRules.h"
#include "tools/liblathe/Failure.h"
#include "tools/liblathe/Shared.h"
#include "tools/liblathe/Tensors.h"

#include <cstring>
#include <optional>

namespace lathe::abi {

namespace {

class CpuKernel : public Kernel {
public:
  CpuKernel(std::shared_ptr<const Variant> variant, const CpuProblem& problem,
            const CpuChoice& choice)
      : variant(std::move(variant)), choice(choice) {
    const cpu::Target target = problem.target(choice.slice);
    if (problem.isGradient)
      backward.emplace(problem.program(), target);
    else
      forward.emplace(problem.program(), target);
    CpuRules rules = rulesOf(problem, target);
    tensors = std::move(rules.tensors);
    places = std::move(rules.places);
    constants = defaultsOf(problem.variant->plan, problem.signature);
    family = "tokens";
  }

  std::size_t workspaceBytes(const lathe_call& call) const override {
    bind(call);
    return 0;
  }

  void launch(const lathe_call& call, void* stream) const override {
    if (stream)
      reject("stream is not null; the kernel is for the CPU, which has none");
    const std::optional<cpu::Call> bound = bind(call);
    if (bound)
      forward ? forward->run(*bound) : backward->run(*bound);
    else
      clearSums(call);
  }

private:
  /// Nothing where the call has no sequence or head.
  std::optional<cpu::Call> bind(const lathe_call& call) const {
    std::vector<TensorView> views;
    readTensors(tensors, call, -1, views);
    cpu::Call bound;
    const std::int64_t packed = bindSequences(call, bound);
    const Extents extents = checkTensors(tensors, views, packed);
    bindConstants(call, bound);
    if (call.threads < 0)
      reject("threads is " + std::to_string(call.threads) +
             "; it must be at least 1, or 0 for as many as there are processors");
    bound.threads = call.threads > 0 ? call.threads : choice.threads;
    bound.spacing = choice.spacing;
    if (extents.sequences == 0 || extents.heads == 0)
      return std::nullopt;
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (!views[i].data && tensors[i].isOptional)
        continue;
      const CpuPlace& place = places[i];
      auto& part = place.part == CpuPlace::Part::tensors   ? bound.tensors
                   : place.part == CpuPlace::Part::initial ? bound.initial
                                                           : bound.final;
      part[place.key] = {views[i].data, views[i].dtype, std::move(views[i].shape),
                         std::move(views[i].strides)};
    }
    return bound;
  }

  /// How many sequences cu_seqlens packs; -1 without it.
  static std::int64_t bindSequences(const lathe_call& call, cpu::Call& bound) {
    if (call.slots)
      reject("argument 'slots' is not null; pools of states are for CUDA, on the CPU state n is "
             "that of sequence n");
    if (!call.cu_seqlens)
      return -1;
    const IndexView list = readList("cu_seqlens", call.cu_seqlens, -1);
    const std::int64_t size = list.shape[0];
    if (size < 1)
      reject("argument 'cu_seqlens' has shape [" + std::to_string(size) +
             "]; it must hold at least the token at which the first sequence begins");
    if (size > 1 && list.strides[0] != 1)
      reject("argument 'cu_seqlens' has the stride " + std::to_string(list.strides[0]) +
             "; it must be 1");
    if (!list.data)
      reject("argument 'cu_seqlens' has no data");
    const auto count = static_cast<std::size_t>(size);
    if (list.bits == 32)
      bound.cuSeqlens = std::span(static_cast<const std::int32_t*>(list.data), count);
    else
      bound.cuSeqlens = std::span(static_cast<const std::int64_t*>(list.data), count);
    return size - 1;
  }

  void bindConstants(const lathe_call& call, cpu::Call& bound) const {
    const std::span<const double> given = readConstants(*this, call);
    for (std::size_t i = 0; i < given.size(); ++i)
      bound.constants[constants[i].first] = given[i];
  }

  /// Gradients of params and consts are sums over what the call does not have.
  void clearSums(const lathe_call& call) const {
    std::vector<TensorView> views;
    readTensors(tensors, call, -1, views);
    for (std::size_t i = 0; i < views.size(); ++i) {
      const bool isSum = tensors[i].role == TensorRule::Role::gradient ||
                         tensors[i].role == TensorRule::Role::constantGradient;
      if (views[i].data && isSum && tensors[i].axes.size() < 3)
        clear(views[i], 0, static_cast<std::byte*>(views[i].data));
    }
  }

  static void clear(const TensorView& view, std::size_t axis, std::byte* at) {
    if (axis == view.shape.size()) {
      std::memset(at, 0, static_cast<std::size_t>(bytes(view.dtype)));
      return;
    }
    for (std::int64_t i = 0; i < view.shape[axis]; ++i)
      clear(view, axis + 1, at + i * view.strides[axis] * bytes(view.dtype));
  }

  std::shared_ptr<const Variant> variant;
  CpuChoice choice;
  std::optional<cpu::Kernel> forward;
  std::optional<cpu::Gradient> backward;
  std::vector<CpuPlace> places;
};

struct Chosen {
  CpuChoice choice;
  const char* how = "model";
};

constexpr double tuningSeconds = 30;

Chosen choose(const CpuProblem& problem, lathe_tuning tuning) {
  if (tuning == LATHE_TUNING_OFF)
    return {};
  CpuRecords records;
  constexpr bool exactly = true;
  if (const auto found = records.find(problem, exactly))
    return {*found, "tuned"};
  if (tuning == LATHE_TUNING_TUNE) {
    const std::lock_guard lock(measuring());
    if (const auto found = records.find(problem, exactly))
      return {*found, "tuned"};
    return {tuneCpu(problem, records, tuningSeconds).winner, "tuned"};
  }
  if (const auto found = records.find(problem))
    return {*found, "nearby"};
  return {};
}

}  // namespace

Prepared prepareCpu(const std::shared_ptr<const Variant>& variant, const Request& request,
                    lathe_tuning tuning) {
  const CpuProblem problem{&variant->compiled, request.pass == LATHE_BACKWARD, request.signature,
                           request.shape};
  const Chosen chosen = choose(problem, tuning);
  const std::string tile = chosen.choice == CpuChoice() ? "" : toString(chosen.choice);
  auto kernel =
      ofProcess<Shared<std::string, Kernel>>().get(keyOf(*variant, request) + " " + tile, [&] {
        return std::make_shared<const CpuKernel>(variant, problem, chosen.choice);
      });
  return {std::move(kernel), tile, chosen.how};
}

}  // namespace lathe::abi
