#include "tuner/Verify.h"

#include "runtime/driver/Cuda.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace lathe {

namespace {

std::string text(double number) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.3g", number);
  return digits;
}

bool sameBits(const std::map<std::string, HostTensor>& a,
              const std::map<std::string, HostTensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    const std::vector<double>&left = x.second.data, &right = y.second.data;
    return x.first == y.first && left.size() == right.size() &&
           (left.empty() ||
            std::memcmp(left.data(), right.data(), left.size() * sizeof(double)) == 0);
  });
}

/// What the verifier asks for beside the shape.
struct Sample {
  const char* name;
  Shape shape;
  Draw how;
  Layout layout;
};

std::vector<Sample> samplesOf(const Problem& problem) {
  bool step = problem.family == Family::step;
  Draw small{.seed = 1, .initialStates = false};
  Draw awkward{.seed = 2};
  Draw strong{.seed = 3, .gateScale = 70, .repeatedKeys = true};
  for (const Operand& operand : problem.plan->operands)
    if (operand.kind == Operand::Kind::input && !operand.dims.empty()) {
      awkward.heads[operand.name] = 1;
      break;
    }
  Draw packed{.seed = 4};
  packed.cuSeqlens = step ? std::vector<std::int64_t>{1, 5, 5, 6, 14}
                          : std::vector<std::int64_t>{1, 66, 66, 67, 150};
  std::vector<Sample> samples = {
      {"a small call", {1, step ? 1 : 64, 1}, small, Layout::bthd},
      {"an awkward call", {2, step ? 5 : 150, 2}, awkward, Layout::bhtd},
      {"strong gates", {1, step ? 7 : 77, 2}, strong, Layout::bthd},
      {"packed sequences", {1, step ? 15 : 155, 2}, packed, Layout::bthd}};
  if (problem.signature.pairedHeads)
    for (Sample& sample : samples) {
      sample.shape.heads *= 2;
      sample.how.heads = pairedHeads(*problem.plan, problem.signature, sample.shape.heads);
    }
  return samples;
}

/// The operand that "d.x" is the gradient of; null for other names.
const Operand* originalOf(const Plan& plan, const std::string& tensor) {
  for (const Operand& operand : plan.operands)
    if (tensor == "d." + operand.name)
      return &operand;
  return nullptr;
}

/// Sums over a whole vector or sequence, in which much cancels.
bool isGate(const Operand& operand) {
  return operand.kind == Operand::Kind::param || operand.kind == Operand::Kind::constant ||
         (operand.kind == Operand::Kind::input && (operand.log || operand.dims.empty()));
}

/// The gradient of a const may cancel, as that of the scale of a normalised output does: it is held
/// against the size that a sum of so many random terms has.
double constRatio(const Plan& plan, const Signature& signature, const HostTensor& found,
                  const HostTensor& reference, const HostResult& expected) {
  double terms = 1;
  for (const Operand& operand : plan.operands)
    if (const auto output = expected.outputs.find(operand.name); output != expected.outputs.end())
      terms = std::max(terms, double(output->second.shape.at(1)));
  int widest = 1;
  for (const auto& [dim, size] : signature.dims)
    widest = std::max(widest, size);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < reference.data.size(); ++i) {
    error += std::pow(found.data[i] - reference.data[i], 2);
    size += std::pow(reference.data[i], 2);
  }
  const double least = terms * widest * double(reference.data.size());
  return std::isfinite(error) ? std::sqrt(error / std::max(size, least))
                              : std::numeric_limits<double>::infinity();
}

/// Whether all of a tensor may have been lost in fp32 on the way to it: gradients through decays of
/// -70 a step.
bool isVanishing(const HostTensor& tensor) {
  constexpr double least = 1e-30;
  return std::all_of(tensor.data.begin(), tensor.data.end(),
                     [](double x) { return std::fabs(x) < least; });
}

}  // namespace

double tolerance(const Plan& plan, const Signature& signature, const std::string& tensor) {
  constexpr double single = 0.001, half = 0.004, channels = 0.005;
  constexpr double gradient = 0.008, gate = 0.02, singleGradient = 0.002;
  const Operand* original = originalOf(plan, tensor);
  if (tensor.starts_with("d."))  // A part of a gradient need not take what it is that of.
    return signature.compute == DType::f32 ? singleGradient
           : original && isGate(*original) ? gate
                                           : gradient;
  auto operand = std::find_if(plan.operands.begin(), plan.operands.end(),
                              [&](const Operand& own) { return own.name == tensor; });
  const bool isKnown = operand != plan.operands.end();
  const bool isSum =
      isKnown && operand->kind == Operand::Kind::output && operand->dims.empty() && plan.scan;
  bool isSingle =
      isKnown && signature.dtypes.at(std::size_t(operand - plan.operands.begin())) == DType::f32;
  isSingle &= signature.compute == DType::f32;
  if (isSum && !isSingle)
    return gate;
  if (isSingle)
    return single;
  bool vector = plan.scan && plan.scan->decay == DecayKind::vector;
  return vector && signature.compute == DType::bf16 ? channels : half;
}

Verdict judge(const Plan& plan, const Signature& signature, const HostResult& found,
              const HostResult& expected) {
  Verdict verdict;
  auto compare = [&](const std::map<std::string, HostTensor>& given, const char* kind,
                     const std::string& name, const HostTensor& reference) {
    auto own = given.find(name);
    if (own == given.end())
      return;  // a final state that the call did not ask for
    if (isVanishing(own->second) && isVanishing(reference))
      return;
    const Operand* original = originalOf(plan, name);
    const bool isConst = original && original->kind == Operand::Kind::constant;
    double limit = tolerance(plan, signature, name);
    double ratio = isConst ? constRatio(plan, signature, own->second, reference, expected)
                           : errorRatio(own->second, reference);
    verdict.error = std::max(verdict.error, ratio);
    if (ratio <= limit)
      return;
    verdict.passed = false;
    verdict.reason += (verdict.reason.empty() ? "" : ", ") + (kind + (" '" + name)) +
                      "' is off by " + text(ratio) + " of its RMS, at most " + text(limit) +
                      " is right";
  };
  for (const auto& [name, tensor] : expected.outputs)
    compare(found.outputs, "output", name, tensor);
  for (const auto& [name, tensor] : expected.states)
    compare(found.states, "state", name, tensor);
  return verdict;
}

bool identical(const HostResult& a, const HostResult& b) {
  return sameBits(a.outputs, b.outputs) && sameBits(a.states, b.states);
}

TwoRuns runTwice(const PreparedKernel& kernel, DeviceCall& call) {
  Stream stream;
  TwoRuns runs;
  for (HostResult* result : {&runs.first, &runs.second}) {
    call.poison();
    kernel.launch(call.bind(kernel.binder()), stream);
    stream.synchronize();
    *result = call.download();
  }
  return runs;
}

Verifier::Verifier(const Problem& problem, int gpu, const Oracle& oracle)
    : plan(*problem.plan), signature(problem.signature) {
  for (const Sample& sample : samplesOf(problem)) {
    HostCall host = draw(plan, signature, sample.shape, sample.how);
    Placement placement(sample.layout);
    placement.device = gpu;
    cases.push_back({sample.name, DeviceCall(plan, signature, sample.shape, host, placement),
                     oracle(plan, signature, sample.shape, host)});
  }
}

Verdict Verifier::check(const PreparedKernel& kernel) {
  Verdict all;
  for (Case& one : cases) {
    TwoRuns runs = runTwice(kernel, one.call);
    Verdict verdict = judge(plan, signature, runs.first, one.expected);
    if (verdict.passed && !identical(runs.first, runs.second)) {
      verdict.passed = false;
      verdict.reason = "two runs differ";
    }
    all.error = std::max(all.error, verdict.error);
    if (!verdict.passed) {
      all.passed = false;
      all.reason = std::string(one.name) + ": " + verdict.reason;
      return all;
    }
  }
  return all;
}

}  // namespace lathe
