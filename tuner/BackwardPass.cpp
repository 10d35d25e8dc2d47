#include "tuner/BackwardPass.h"

#include "compiler/cuda/Backward.h"

#include <stdexcept>

namespace lathe {

BackwardPass::BackwardPass(const CompiledVariant& variant, const Signature& signature)
    : variant(&variant), signature(signature) {}

BackwardPass BackwardPass::sequential(const CompiledVariant& variant, const Signature& signature) {
  BackwardPass pass(variant, signature);
  pass.all.push_back({variant.backward, Family::sequential,
                      adjointSignature(variant.plan, variant.backward, signature),
                      adjointOracleOf(variant)});
  return pass;
}

BackwardPass::BackwardPass(const CompiledVariant& variant, const Signature& signature,
                           const Device& device)
    : BackwardPass(variant, signature) {
  reason = variant.noBackwardScans;
  if (reason.empty() && device.arch != name(Form::sm90a))
    reason = std::string("only ") + name(Form::sm90a) + " has kernels for all of them";
  if (reason.empty())
    findScans(device);
  all.push_back(sequential(variant, signature).all.front());
}

/// A kernel for every part of the gradient, or the reason why there is none.
void BackwardPass::findScans(const Device& device) {
  std::vector<Plan> plans;
  for (const CompiledVariant::Part& part : variant->backwardScans)
    plans.push_back(part.plan);
  try {
    scans = scanBackwardKernels(variant->plan, plans, signature);
    std::vector<Tile> tiles;
    for (const ScanBackwardKernel& scan : scans)
      tiles.push_back(candidates(scan.plan, Family::scan, scan.signature, device, 1).tiles.front());
    const Signature own = adjointSignature(variant->plan, variant->backward, signature);
    tiles.push_back(
        candidates(variant->backward, Family::sequential, own, device, 1).tiles.front());
    emit(tiles);
  } catch (const std::invalid_argument& error) {
    scans.clear();
    reason = error.what();
    return;
  }
  for (const ScanBackwardKernel& scan : scans)
    all.push_back({scan.plan, Family::scan, scan.signature,
                   oracleOf(variant->backwardScans[scan.scan].form.program)});
}

Problem BackwardPass::problem(std::size_t kernel, const Shape& shape) const {
  const Kernel& one = all.at(kernel);
  return {&one.plan, one.family, one.signature, shape};
}

KernelSequence BackwardPass::emit(std::span<const Tile> tiles) const {
  if (scans.empty())
    return emitSequentialBackward(variant->plan, variant->backward, signature, tiles.front());
  const Plan* rest = variant->backwardRest ? &variant->backwardRest->plan : nullptr;
  return emitScanBackward(variant->plan, variant->backward, signature, scans, rest, tiles);
}

std::string toString(std::span<const Tile> tiles) {
  std::string text;
  for (std::size_t i = 0; i < tiles.size(); ++i)
    text += (i > 0 ? ", " : "") + toString(tiles[i]);
  return text;
}

}  // namespace lathe
