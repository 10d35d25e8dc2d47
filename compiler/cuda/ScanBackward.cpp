#include "compiler/cuda/ScanBackward.h"

#include "compiler/cuda/Families.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace lathe {

namespace {

using Kind = Operand::Kind;
using Shape = Temporary::Shape;

bool isSum(const Operand& operand) { return operand.kind == Kind::output && operand.dims.empty(); }

std::vector<std::string> sumsOf(const Plan& plan) {
  std::vector<std::string> names;
  for (const Operand& operand : plan.operands)
    if (isSum(operand))
      names.push_back(operand.name);
  return names;
}

/// The inputs that queries and keys are made of.
std::set<std::string> sharedInputs(const Plan& plan) {
  std::set<std::string> names;
  const cuda::Analysis analysis(plan);
  for (int node : analysis.closure({plan.scan->query, plan.scan->key}, [](int) { return false; }))
    if (plan.nodes[node].kind == Node::Kind::operand && !plan.nodes[node].dims.empty())
      names.insert(plan.operands[plan.nodes[node].operand].name);
  return names;
}

/// The state of the rest that starts from S . dS of the last token, or nothing.
const Operand* laterSum(const Plan* rest) {
  for (std::size_t i = 0; rest && i < rest->operands.size(); ++i)
    if (const Operand& operand = rest->operands[i];
        operand.kind == Kind::state && operand.name.ends_with(decayGradientEnd))
      return &operand;
  return nullptr;
}

/// What scans do not give: gradients of consts, and of params that decays are made of. In a sum
/// over all tokens of the gradients of decays, what is rounded adds up faster than these do.
std::vector<std::string> sequentialGradients(const Plan& plan, const Plan* rest) {
  std::vector<std::string> names;
  for (const Operand& operand : plan.operands)
    if (operand.kind == Kind::constant)
      names.push_back("final d." + operand.name);
  const Operand* later = laterSum(rest);
  if (!later)
    return names;
  const cuda::Analysis analysis(*rest);
  for (const Operand& operand : rest->operands)
    if (operand.kind == Kind::state && &operand != later &&
        analysis.closure({operand.value}, [](int) { return false; }).count(later->value))
      names.push_back("final " + operand.name);
  return names;
}

/// What stands at the states of the kernel of a role. Both roles in reverse come to the same final
/// state, which one of them writes.
std::map<std::string, std::string> namesOf(const Plan& plan, bool writesFinal) {
  const std::string state = plan.operands[plan.scan->state].name;
  if (!plan.scan->reverse)
    return {{"final " + state, "end " + state}};
  if (!writesFinal)
    return {{"final " + state, ""}};
  return {};
}

KernelStep restOf(const Plan& plan, const Plan& rest, const Signature& signature) {
  const Signature own = adjointSignature(plan, rest, signature);
  KernelStep step{rest, own, cuda::emitScalars(rest, own)};
  for (const Operand& operand : rest.operands)
    if (operand.kind == Kind::state && &operand != laterSum(&rest))
      step.names["initial " + operand.name] = "";
    else if (operand.kind == Kind::state)
      step.reads = {"final " + operand.name};
  return step;
}

}  // namespace

Plan withoutSums(Plan plan) {
  for (int at = int(plan.operands.size()) - 1; at >= 0; --at) {
    if (!isSum(plan.operands[at]))
      continue;
    plan.operands.erase(plan.operands.begin() + at);
    const auto move = [at](int& operand) { operand -= operand > at; };
    for (Node& node : plan.nodes)
      move(node.operand);
    for (Recurrence& recurrence : plan.recurrences)
      move(recurrence.state);
    move(plan.scan->state);
  }
  return plan;
}

std::vector<ScanBackwardKernel> scanBackwardKernels(const Plan& plan, std::span<const Plan> scans,
                                                    const Signature& signature) {
  std::vector<ScanBackwardKernel> kernels;
  const std::set<std::string> shared = plan.scan ? sharedInputs(plan) : std::set<std::string>();
  auto add = [&](std::size_t scan, Plan part) {
    Signature own = adjointSignature(plan, part, signature);
    const std::set<std::string> ofPart = sharedInputs(part);
    own.pairedHeads = signature.pairedHeads &&
                      std::includes(shared.begin(), shared.end(), ofPart.begin(), ofPart.end());
    kernels.push_back({scan, std::move(part), std::move(own)});
  };
  for (std::size_t i = 0; i < scans.size(); ++i) {
    add(i, scans[i]);
    if (sumsOf(scans[i]).empty())
      continue;
    Plan rows = withoutSums(scans[i]);
    rows.variant += "_rows";
    add(i, std::move(rows));
  }
  return kernels;
}

KernelSequence emitScanBackward(const Plan& plan, const Plan& adjoint, const Signature& signature,
                                std::span<const ScanBackwardKernel> kernels, const Plan* rest,
                                std::span<const Tile> tiles) {
  if (tiles.size() != kernels.size() + 1)
    throw std::invalid_argument("the backward pass of '" + plan.variant + "' takes " +
                                std::to_string(kernels.size() + 1) + " tiles, not " +
                                std::to_string(tiles.size()));
  const std::vector<std::string> others = sequentialGradients(plan, rest);
  std::vector<KernelStep> steps;
  std::vector<Temporary> own;
  bool writesFinal = true;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const Plan& part = kernels[i].plan;
    KernelStep step{part, kernels[i].signature,
                    emit(part, Family::scan, kernels[i].signature, tiles[i])};
    step.names = namesOf(part, writesFinal);
    step.beside = sumsOf(part);
    for (const std::string& name : step.beside)
      own.push_back({name, Shape::tokens, {}, DType::f32});
    if (step.beside.empty()) {
      if (i > 0)
        step.without = sumsOf(kernels[i - 1].plan);
      writesFinal = writesFinal && !part.scan->reverse;
    }
    step.without.insert(step.without.end(), others.begin(), others.end());
    steps.push_back(std::move(step));
  }
  std::vector<DotStep> dots;
  if (const Operand* later = laterSum(rest)) {
    const std::string state =
        later->name.substr(0, later->name.size() - std::string_view(decayGradientEnd).size());
    std::size_t at = 0;
    while (plan.operands[at].name != state)
      ++at;
    dots.push_back({"end " + state, "initial d." + state, "initial " + later->name, DType::f32});
    dots.push_back(
        {"final d." + state, "initial " + state, "final " + later->name, signature.dtypes[at]});
    for (const DotStep& dot : dots) {
      own.push_back({dot.from, Shape::states, plan.operands[at].dims, DType::f32});
      own.push_back({dot.to, Shape::states, {}, DType::f32});
    }
  }
  if (!others.empty()) {
    const Signature all = adjointSignature(plan, adjoint, signature);
    steps.push_back({adjoint, all, emit(adjoint, Family::sequential, all, tiles.back())});
    steps.back().beside = others;
  }
  KernelSequence sequence = closeBackward(plan, adjoint, signature, std::move(steps));
  sequence.temporaries.insert(sequence.temporaries.end(), own.begin(), own.end());
  auto behind = sequence.steps.begin() + std::ptrdiff_t(kernels.size());
  behind = sequence.steps.insert(behind, dots.begin(), dots.end()) + std::ptrdiff_t(dots.size());
  if (rest) {
    KernelStep step = restOf(plan, *rest, signature);
    step.without = others;
    sequence.steps.insert(behind, std::move(step));
  }
  return sequence;
}

}  // namespace lathe
