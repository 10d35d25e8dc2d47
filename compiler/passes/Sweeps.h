// A program whose states go through the sequence in both directions, as a list of sweeps that each
// go one way.
#pragma once

#include "compiler/dialect/Dialect.h"

#include "llvm/ADT/SmallVector.h"

#include <vector>

namespace lathe {

/// One walk over the tokens of a sequence, or over its chunks, in one direction.
struct Sweep {
  bool reverse = false;                 ///< From the last token to the first.
  llvm::SmallVector<StateOp> updated;   ///< The states that it moves from token to token.
  llvm::SmallVector<StateOp> given;     ///< States of earlier sweeps, read at every token as they
                                        ///< stood, in their own direction, before its update.
  llvm::SmallVector<OutputOp> outputs;  ///< Written by this sweep.
  llvm::SmallVector<mlir::Operation*>
      ops;  ///< What it computes, declarations and updates included, in the order of the variant.
};

/// The sweeps of a variant in the order in which they run; every output belongs to the first that
/// can write it. A variant whose states all go one way has one. Empty where states of the two
/// directions feed each other, so that no order exists.
std::vector<Sweep> splitSweeps(VariantOp variant);

}  // namespace lathe
