// A token program whose states go through the sequence in both directions, as walks over the
// sequence in one direction each. What a later walk needs of an earlier one is kept for every
// token, or computed again from checkpoints of its states.
#pragma once

#include "compiler/cuda/Graph.h"

namespace lathe::cuda {

/// The column of each pair of dimensions (Items::columnOf).
using Columns = std::map<std::set<std::string>, std::string>;

struct GraphSweep {
  bool reverse = false;           ///< From the last token to the first.
  std::vector<int> states = {};   ///< Operands: the states that it carries.
  std::vector<int> outputs = {};  ///< Operands: what it writes.
  std::set<int> given = {};       ///< Values of earlier sweeps that it reads, token by token.
  std::set<int> kept = {};        ///< Its values that later sweeps read.
  Columns columns = {};           ///< Those that are not for the sweep to choose.
};

/// In the order in which they run. Throws std::invalid_argument where states of the two directions
/// need each other.
std::vector<GraphSweep> sweepsOf(const Graph& graph);

/// The sweeps before the last of these that it needs the values of, its own needs among them, each
/// without what it writes, holding states as `columns` says.
std::vector<GraphSweep> replaysOf(const std::vector<GraphSweep>& sweeps, std::size_t last,
                                  const Columns& columns);

}  // namespace lathe::cuda
