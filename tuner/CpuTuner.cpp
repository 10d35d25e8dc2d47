#include "tuner/CpuTuner.h"

#include "compiler/cpu/Pool.h"
#include "runtime/Error.h"
#include "tuner/Measure.h"
#include "tuner/Numbers.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace lathe {

using reference::Declaration;

const reference::Program& CpuProblem::program() const {
  if (isGradient)
    return variant->gradient.program;
  return variant->isStabilised ? variant->normal.program : variant->token.program;
}

cpu::Target CpuProblem::target(int slice) const {
  cpu::Target target{signature.dims, dtypesByName(variant->plan, signature), slice};
  if (!isGradient)
    return target;
  // The gradient of a tensor has its dtype; the adjoint writes those of inputs, reads those of
  // outputs.
  std::map<std::string, DType> dtypes;
  for (const Declaration& declaration : program().declarations) {
    const bool isGiven = declaration.name.starts_with("d.");
    const auto own = target.dtypes.find(isGiven ? declaration.name.substr(2) : declaration.name);
    if (own != target.dtypes.end() && declaration.kind != Declaration::Kind::state)
      dtypes[declaration.name] = own->second;
  }
  target.dtypes = std::move(dtypes);
  return target;
}

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class CpuTuning {
public:
  CpuTuning(const CpuProblem& problem, double budget,
            const std::function<void(const std::string&, int, int)>& progress)
      : problem(problem), program(problem.program()), budget(budget), progress(progress),
        begin(seconds()) {}

  CpuTuningResult run() {
    const HostCall host = drawFor(problem.shape);
    const Shape small{1, std::min<std::int64_t>(problem.shape.tokens, 37),
                      std::min<std::int64_t>(problem.shape.heads, 2)};
    const HostCall smallHost = drawFor(small);
    const Results expected = interpretSmall(smallHost);

    const std::vector<int> slices = sliceCandidates();
    for (std::size_t i = 0; i < slices.size(); ++i) {
      if (progress)
        progress("compile and measure", static_cast<int>(i), static_cast<int>(slices.size()));
      if (i > 0 && isSpent())
        break;
      const cpu::Target target = problem.target(slices[i]);
      const cpu::Kernel kernel(program, target);
      CpuCall call(program, target, problem.shape, host);
      CpuCall smallCall(program, target, small, smallHost);
      for (const int spacing : spacingCandidates(kernel))
        for (const int threads : threadCandidates())
          measure(kernel, call, smallCall, expected, {threads, slices[i], spacing});
    }
    return finish();
  }

private:
  bool isSpent() const { return seconds() - begin > budget; }

  /// Random tensors of every input of the program; what the loss sends back is normal.
  HostCall drawFor(const Shape& shape) const {
    HostCall host = draw(problem.variant->plan, problem.signature, shape, {});
    std::mt19937_64 random(3);
    std::normal_distribution<double> normal;
    const std::map<std::string, DType> dtypes = problem.target(0).dtypes;
    for (const Declaration& declaration : program.declarations) {
      if (declaration.kind != Declaration::Kind::input || host.tensors.contains(declaration.name))
        continue;
      HostTensor tensor{{shape.batch, shape.tokens, shape.heads}, {}};
      for (const std::string& dim : declaration.stored)
        tensor.shape.push_back(problem.signature.dims.at(dim));
      std::int64_t count = 1;
      for (const std::int64_t size : tensor.shape)
        count *= size;
      for (std::int64_t i = 0; i < count; ++i)
        tensor.data.push_back(roundTo(dtypes.at(declaration.name), normal(random)));
      host.tensors[declaration.name] = std::move(tensor);
    }
    if (problem.variant->isStabilised)
      host.initial.clear();  // They are not those of the spec.
    return host;
  }

  Results interpretSmall(const HostCall& host) const {
    Arguments arguments;
    arguments.dims = problem.signature.dims;
    for (const auto* tensors : {&host.tensors, &host.initial})
      for (const auto& [name, tensor] : *tensors)
        arguments.inputs[name] = {tensor.shape, tensor.data};
    return reference::interpret(program, arguments, 1, cpu::processors());
  }

  /// Whole vectors, twice as many each time; the default is 0.
  std::vector<int> sliceCandidates() const {
    const cpu::Kernel kernel(program, problem.target(0));
    std::vector<int> slices{0};
    if (kernel.sliceDim().empty())
      return slices;
    constexpr int leastSlice = 16;
    const int size = problem.signature.dims.at(kernel.sliceDim());
    for (int slice = leastSlice; slice < 2 * size; slice *= 2)
      if (const int own = std::min(slice, size); own != kernel.slice())
        slices.push_back(own);
    return slices;
  }

  std::vector<int> spacingCandidates(const cpu::Kernel& kernel) const {
    if (!kernel.recomputes())
      return {0};
    std::vector<int> all{0};
    constexpr int most = 256;
    for (int spacing = 4; spacing <= most && spacing < problem.shape.tokens; spacing *= 2)
      all.push_back(spacing);
    return all;
  }

  static std::vector<int> threadCandidates() {
    std::vector<int> all{cpu::processors()};
    for (int threads = cpu::processors() / 2; threads >= 1; threads /= 2)
      all.push_back(threads);
    return all;
  }

  void measure(const cpu::Kernel& kernel, CpuCall& call, CpuCall& smallCall,
               const Results& expected, const CpuChoice& choice) {
    if (!trials.empty() && isSpent())
      return;
    CpuTrial trial{choice, Trial::Outcome::slower, 0, 0, 0};
    for (CpuCall* own : {&call, &smallCall}) {
      own->call().threads = choice.threads;
      own->call().spacing = choice.spacing;
    }
    kernel.run(smallCall.call());
    trial.error = errorOf(smallCall.download(), expected);
    if (trial.error > 1) {
      trial.outcome = Trial::Outcome::rejected;
      trials.push_back(trial);
      return;
    }
    constexpr double enough = 0.3;
    constexpr std::size_t least = 3, most = 30;
    kernel.run(call.call());
    std::vector<double> samples;
    const double start = seconds();
    while (samples.size() < least || (samples.size() < most && seconds() - start < enough)) {
      const double before = seconds();
      kernel.run(call.call());
      samples.push_back(1e6 * (seconds() - before));
    }
    const Timing timing = summarise(samples);
    trial.microseconds = timing.microseconds;
    trial.mad = timing.mad;
    trials.push_back(trial);
  }

  /// The largest error ratio over its limit. Sums to one number are left out: they may cancel.
  double errorOf(const HostResult& found, const Results& expected) const {
    double worst = 0;
    const cpu::Target target = problem.target(0);
    const auto judge = [&](const std::string& name, const HostTensor& tensor, const Tensor& right,
                           std::size_t axes) {
      if (right.shape.size() <= axes)
        return;
      const auto own = target.dtypes.find(name);
      const DType dtype = own == target.dtypes.end() ? DType::f32 : own->second;
      const double limit = dtype == DType::f32 ? 1e-5 : dtype == DType::bf16 ? 0x1p-8 : 0x1p-11;
      worst = std::max(worst, errorRatio(tensor, {right.shape, right.data}) / limit);
    };
    for (const auto& [name, tensor] : expected.outputs)
      judge(name, found.outputs.at(name), tensor, 0);
    for (const auto& [name, tensor] : expected.states)
      judge(name, found.states.at(name), tensor, 2);
    return worst;
  }

  CpuTuningResult finish() {
    CpuTuningResult result;
    CpuTrial* best = nullptr;
    for (CpuTrial& trial : trials)
      if (trial.outcome != Trial::Outcome::rejected &&
          (!best || trial.microseconds < best->microseconds))
        best = &trial;
    if (!best)
      throw Error("no candidate for variant " + problem.variant->name +
                  " agrees with the interpreter on this processor");
    best->outcome = Trial::Outcome::winner;
    result.winner = best->choice;
    result.microseconds = best->microseconds;
    result.mad = best->mad;
    result.trials = std::move(trials);
    result.seconds = seconds() - begin;
    return result;
  }

  const CpuProblem& problem;
  const reference::Program& program;
  double budget;
  const std::function<void(const std::string&, int, int)>& progress;
  double begin;
  std::vector<CpuTrial> trials;
};

}  // namespace

CpuTuningResult tuneCpu(const CpuProblem& problem, CpuRecords& records, double budgetSeconds,
                        const std::function<void(const std::string&, int, int)>& progress) {
  CpuTuningResult result = CpuTuning(problem, budgetSeconds, progress).run();
  records.store(problem, result);
  return result;
}

}  // namespace lathe
