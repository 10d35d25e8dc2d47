// A token program whose states go through the sequence in both directions, as walks over the
// sequence in one direction each. What a later walk needs of an earlier one is kept for every
// token.
#pragma once

#include "compiler/cuda/Graph.h"

namespace lathe::cuda {

struct GraphSweep {
  bool reverse = false;           ///< From the last token to the first.
  std::vector<int> states = {};   ///< Operands: the states that it carries.
  std::vector<int> outputs = {};  ///< Operands: what it writes.
  std::set<int> given = {};       ///< Values of earlier sweeps that it reads, token by token.
  std::set<int> kept = {};        ///< Its values that later sweeps read.
};

/// In the order in which they run. Throws std::invalid_argument where states of the two directions
/// need each other.
std::vector<GraphSweep> sweepsOf(const Graph& graph);

}  // namespace lathe::cuda
