// Calls of the backward pass against the gradient in double precision.
#pragma once

#include "compiler/cuda/Backward.h"
#include "runtime/Sequence.h"
#include "tests/gpu/Support.h"

#include <set>

namespace lathe::test {

/// One call of the backward pass. Of a `Case`, `family` is ignored.
struct BackwardCase {
  Case one;
  /// Of its scans, in turns; none: the sequential pass.
  std::vector<Tile> tiles = {};
  std::set<std::string> absent = {};  ///< "d.o", "initial d.S", "d.q": what the call leaves out.
  int runs = 2;                       ///< All of which must be the same to the bit.
};

/// The tile of a case, or the model's first for its adjoint.
Tile backwardTileOf(const BackwardCase& backward);

std::unique_ptr<PreparedSequence> prepareBackward(const BackwardCase& backward);

/// Nothing where every run is right and all are the same to the bit.
std::string failureOfBackward(const BackwardCase& backward);

void expectRight(const std::vector<BackwardCase>& cases);

}  // namespace lathe::test
