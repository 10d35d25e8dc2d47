// What `lathe explain` says of the backward pass on a GPU: its kernel, and the memory that it
// takes.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Space.h"
#include "tuner/Workload.h"

#include <string>
#include <utility>
#include <vector>

namespace lathe::tool {

struct BackwardExplanation {
  std::string noKernel;  ///< Why there is none; else empty.
  Tile tile;             ///< The best by the model.
  std::size_t candidates = 0;
  /// Of the workspace, for what the way back needs of the way there: with this tile, and with one
  /// that keeps all of it.
  double bytes = 0, keptBytes = 0;
  /// The scans that run instead where no gradient of a const or of a decay's param is wanted: name
  /// and best tile.
  std::vector<std::pair<std::string, Tile>> scans;
};

/// `signature` is that of the forward pass.
BackwardExplanation explainBackward(const CompiledVariant& variant, const Signature& signature,
                                    const Shape& shape, const std::string& arch);

/// "c64 b16 ..., the best by the model of 12; states are kept ..."
std::string textOf(const BackwardExplanation& explanation);

}  // namespace lathe::tool
