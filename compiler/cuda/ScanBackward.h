// The backward pass of a scan as scans (compiler/passes/ScanGradient.h): of its queries, keys and
// values, and what is made of scalars of the token.
#pragma once

#include "compiler/cuda/Backward.h"

#include <span>

namespace lathe {

/// The plan without those of its outputs that are sums over a row, which kernels write beside rows.
Plan withoutSums(Plan plan);

/// The kernels of a scan's backward pass that tiles are chosen for, in the order of `scans`
/// (CompiledVariant::backwardScans): of each with its sums, which the gradients of decays, params
/// and consts need, and, as NAME_rows, without them.
struct ScanBackwardKernel {
  std::size_t scan;  ///< Its place in `scans`.
  Plan plan;
  Signature signature;
};
std::vector<ScanBackwardKernel> scanBackwardKernels(const Plan& plan, std::span<const Plan> scans,
                                                    const Signature& signature);

/// One tile for each of the kernels, and one for the sequential pass, which runs instead where the
/// gradient of a const, or of a param that decays are made of, is wanted. `rest` may be null.
/// Throws std::invalid_argument as `emit` does.
KernelSequence emitScanBackward(const Plan& plan, const Plan& adjoint, const Signature& signature,
                                std::span<const ScanBackwardKernel> kernels, const Plan* rest,
                                std::span<const Tile> tiles);

}  // namespace lathe
