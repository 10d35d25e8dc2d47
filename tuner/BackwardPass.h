// The backward pass of a variant on a GPU: which kernels tiles are chosen for, and the sequence of
// all.
#pragma once

#include "compiler/cuda/KernelSequence.h"
#include "compiler/cuda/ScanBackward.h"
#include "tuner/Oracle.h"

#include <span>

namespace lathe {

/// Scans where the gradient of the variant has such and the device runs them all, and, last, the
/// one kernel of the sequential family, alone or for the gradients of decays. The variant must
/// outlive it.
class BackwardPass {
public:
  /// Throws std::invalid_argument where no kernel runs the signature.
  BackwardPass(const CompiledVariant& variant, const Signature& signature, const Device& device);
  static BackwardPass sequential(const CompiledVariant& variant, const Signature& signature);

  /// A kernel that a tile is chosen for, as a problem of its own but for the shape.
  struct Kernel {
    Plan plan;
    Family family;
    Signature signature;
    Oracle oracle;
  };

  const std::vector<Kernel>& kernels() const { return all; }
  Family family() const { return all.front().family; }
  /// Why it is no scans, where it is not.
  const std::string& noScans() const { return reason; }
  Problem problem(std::size_t kernel, const Shape& shape) const;
  /// One tile for each of the kernels. Throws std::invalid_argument as `emit` does.
  KernelSequence emit(std::span<const Tile> tiles) const;

private:
  BackwardPass(const CompiledVariant& variant, const Signature& signature);
  void findScans(const Device& device);

  const CompiledVariant* variant;
  Signature signature;
  std::vector<ScanBackwardKernel> scans;
  std::vector<Kernel> all;
  std::string reason;
};

/// Of several kernels, in their order.
std::string toString(std::span<const Tile> tiles);

}  // namespace lathe
