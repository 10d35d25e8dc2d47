#include "tools/lathe/ExplainBackward.h"

#include "compiler/cuda/Backward.h"
#include "compiler/cuda/Segments.h"
#include "runtime/Launch.h"
#include "tools/lathe/Number.h"
#include "tuner/BackwardPass.h"

#include <stdexcept>

namespace lathe::tool {

namespace {

/// What a launch of this shape needs. Nothing is read or written.
double workspaceOf(const Plan& plan, const Signature& signature, const KernelSource& source,
                   const Shape& shape) {
  void* const somewhere = reinterpret_cast<void*>(workspaceAlignment);
  Call call;
  for (std::size_t i = 0; i < plan.operands.size(); ++i) {
    const Operand& operand = plan.operands[i];
    if (operand.kind == Operand::Kind::constant || operand.kind == Operand::Kind::state)
      continue;
    std::vector<std::int64_t> sizes = {shape.batch, shape.tokens, shape.heads};
    if (operand.kind == Operand::Kind::param)
      sizes = {shape.heads};
    for (const std::string& dim : operand.dims)
      sizes.push_back(signature.dims.at(dim));
    call.tensors[operand.name] = contiguous(somewhere, signature.dtypes[i], sizes);
  }
  return static_cast<double>(bind(plan, source, signature, call).workspaceBytes);
}

}  // namespace

BackwardExplanation explainBackward(const CompiledVariant& variant, const Signature& signature,
                                    const Shape& shape, const std::string& arch) {
  constexpr Family family = Family::sequential;
  const Plan& adjoint = variant.backward;
  BackwardExplanation result;
  try {
    const Signature own = adjointSignature(variant.plan, adjoint, signature);
    const std::vector<Tile> tiles =
        candidates(adjoint, family, own, knownDevice(arch), shape.batch * shape.heads).tiles;
    result.tile = tiles.front();
    result.candidates = tiles.size();
    Tile keeping = result.tile;
    keeping.chunk = 0;
    result.bytes = workspaceOf(adjoint, own, emit(adjoint, family, own, result.tile), shape);
    result.keptBytes = workspaceOf(adjoint, own, emit(adjoint, family, own, keeping), shape);
    const Device device = knownDevice(arch);
    const BackwardPass pass(variant, signature, device);
    for (const BackwardPass::Kernel& kernel : pass.kernels())
      if (kernel.family == Family::scan)
        result.scans.emplace_back(kernel.plan.variant,
                                  candidates(kernel.plan, kernel.family, kernel.signature, device,
                                             shape.batch * shape.heads)
                                      .tiles.front());
  } catch (const std::invalid_argument& error) {
    result.noKernel = error.what();
  }
  return result;
}

std::string textOf(const BackwardExplanation& e) {
  if (!e.noKernel.empty())
    return "none: " + e.noKernel;
  std::string tile = "scans: ";
  for (std::size_t i = 0; i < e.scans.size(); ++i)
    tile += (i > 0 ? ", " : "") + e.scans[i].first + " " + toString(e.scans[i].second);
  tile = (e.scans.empty()
              ? ""
              : tile + "; where the gradient of a const or of a decay's param is wanted, ") +
         "sequential, " + toString(e.tile) + ", the best by the model of " +
         std::to_string(e.candidates) + "; ";
  if (e.bytes == e.keptBytes)
    return tile + "what it needs of the way there is kept, " + bytesText(e.bytes);
  return tile + "states are kept every " + std::to_string(e.tile.chunk) +
         " tokens and computed again between, in " + bytesText(e.bytes) +
         "; to keep them all (c0) would take " + bytesText(e.keptBytes);
}

}  // namespace lathe::tool
