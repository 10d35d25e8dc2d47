#include "compiler/cuda/Backward.h"

#include "compiler/cuda/Families.h"

#include <algorithm>

namespace lathe {

namespace {

using Kind = Operand::Kind;
constexpr std::string_view prefix = "d.";

/// Of what "d.x" is the gradient; null for other names.
const Operand* originalOf(const Plan& plan, const std::string& name) {
  if (!name.starts_with(prefix))
    return nullptr;
  for (const Operand& operand : plan.operands)
    if (operand.name == name.substr(prefix.size()))
      return &operand;
  return nullptr;
}

bool isTotal(const Operand* original) {
  return original && (original->kind == Kind::param || original->kind == Kind::constant);
}

}  // namespace

Signature adjointSignature(const Plan& plan, const Plan& adjoint, const Signature& signature) {
  cuda::checkSignature(plan, signature);
  Signature result = signature;
  result.dtypes.clear();
  auto dtypeOf = [&](const std::string& name) {
    for (std::size_t i = 0; i < plan.operands.size(); ++i)
      if (plan.operands[i].name == name)
        return signature.dtypes[i];
    return DType::f32;
  };
  for (const Operand& operand : adjoint.operands) {
    const Operand* original = originalOf(plan, operand.name);
    const bool isAdjointState = original && operand.kind == Kind::state;
    result.dtypes.push_back(isAdjointState ? DType::f32
                                           : dtypeOf(original ? original->name : operand.name));
  }
  return result;
}

KernelSequence closeBackward(const Plan& plan, const Plan& adjoint, const Signature& signature,
                             std::vector<KernelStep> steps) {
  using Shape = Temporary::Shape;
  using Over = SumStep::Over;
  KernelSequence sequence{.variant = plan.variant, .dims = signature.dims};
  std::vector<SumStep> sums;
  const Signature own = adjointSignature(plan, adjoint, signature);
  for (std::size_t i = 0; i < adjoint.operands.size(); ++i) {
    const Operand& operand = adjoint.operands[i];
    const Operand* original = originalOf(plan, operand.name);
    if (!original)
      continue;
    const DType dtype = own.dtypes[i];
    if (operand.kind == Kind::input) {
      sequence.temporaries.push_back({operand.name, Shape::zero, operand.dims, dtype});
    } else if (operand.kind == Kind::output) {
      sequence.temporaries.push_back({operand.name, Shape::tokens, operand.dims, dtype});
      sums.push_back({operand.name, operand.name, Over::heads});
    } else if (isTotal(original)) {
      const std::string total = "final " + operand.name;
      sequence.temporaries.push_back({total, Shape::states, operand.dims, DType::f32});
      sums.push_back(
          {total, operand.name, original->kind == Kind::param ? Over::sequences : Over::all});
    }
  }
  for (KernelStep& step : steps)
    sequence.steps.emplace_back(std::move(step));
  sequence.steps.insert(sequence.steps.end(), sums.begin(), sums.end());
  return sequence;
}

KernelSequence emitSequentialBackward(const Plan& plan, const Plan& adjoint,
                                      const Signature& signature, const Tile& tile) {
  const Signature own = adjointSignature(plan, adjoint, signature);
  KernelStep step{adjoint, own, emit(adjoint, Family::sequential, own, tile)};
  return closeBackward(plan, adjoint, signature, {std::move(step)});
}

}  // namespace lathe
