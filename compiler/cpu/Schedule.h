// The order in which one token of a sweep is computed: short loops over one dimension, and fused
// passes over the matrices. Plain data, no MLIR.
//
// A value of at most one dimension lives in scratch memory. A map of two or more is never stored:
// it is an expression that the passes evaluate element by element, from what they load. A pass
// goes once over such a matrix: it loads states, sums over dimensions, and stores new states in
// place. How many passes a token takes is the length of the longest chain of sums that need one
// another: one for gla, two for the delta rule.
#pragma once

#include "compiler/cpu/Sweep.h"

#include <string>
#include <vector>

namespace lathe::cpu {

using Dims = std::vector<std::string>;

/// A fused nest of loops over all dimensions of `space`, of which there are two or more.
struct Pass {
  Dims space;                   ///< Outermost first.
  std::vector<int> reductions;  ///< Values: sums, maxima and contractions.
  std::vector<int> fills;       ///< Values that get memory of their own.
  std::vector<int> updates;     ///< Declarations of states that get their new value.
};

/// One loop over `dim`, or none where it is empty: the values of the scalars.
struct Loop {
  std::string dim;
  std::vector<int> values;
  std::vector<int> outputs;  ///< Declarations.
  std::vector<int> updates;  ///< Declarations of states; all values are read before any is stored.
};

/// A tensor of several dimensions copied to scratch memory, or from there to the call.
struct Copy {
  int declaration = -1;
  int value = -1;
};

struct Step {
  enum class Kind {
    pass,
    loop,
    feature,  ///< The value of `copy`, of all elements of its operands at once: rope, taylor2.
    load,
    store
  };
  Kind kind;
  Pass pass;
  Loop loop;
  Copy copy;
};

struct Schedule {
  bool reverse = false;
  std::vector<Dims> dims;      ///< Of each value of the program, in the order of memory.
  std::vector<bool> isInline;  ///< Evaluated wherever it is needed.
  std::vector<bool> needed;
  std::vector<Step> head;   ///< Once before the first token: what depends on params alone.
  std::vector<Step> token;  ///< For every token.
  std::vector<int> updates, reads, outputs;  ///< Those of the sweep; outputs only if asked for.
};

/// The dimensions of the program in the order of loops and memory: the last is that of vectors, so
/// it is one over which few matrices are summed.
Dims memoryOrder(const reference::Program& program);

/// Without outputs the sweep only carries its states on.
Schedule makeSchedule(const reference::Program& program, const Sweep& sweep, bool withOutputs);

}  // namespace lathe::cpu
