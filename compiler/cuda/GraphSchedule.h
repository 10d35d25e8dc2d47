// The order in which the threads of a block compute a block of tokens.
//
// What hangs on no state of its own is computed for all tokens of the block side by side. What does
// is a loop over the tokens; it holds as little as it can, so that most variants need no barrier
// within it.
#pragma once

#include "compiler/cuda/GraphItems.h"

namespace lathe::cuda {

/// Items that one nest of loops computes, in this order.
struct Group {
  Item::How how;
  Dims space;
  std::vector<int> items;
};

struct Stage {
  bool isLoop = false;                          ///< Token by token.
  std::vector<std::vector<Group>> phases = {};  ///< With a barrier between each two.
  bool barrierAfterToken = false;
};

struct Schedule {
  std::vector<std::vector<Stage>> levels;  ///< With a barrier behind each.
};

Schedule scheduleOf(const Items& items);

}  // namespace lathe::cuda
