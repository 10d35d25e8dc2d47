// One walk over the tokens of a sequence: which states it carries, which it only reads.
#pragma once

#include "compiler/reference/Program.h"

#include <vector>

namespace lathe::cpu {

/// States that go through the sequence in one direction at once. All numbers index
/// Program::declarations.
struct Sweep {
  bool reverse = false;         ///< From the last token to the first.
  std::vector<int> updates;     ///< The states that it carries from token to token.
  std::vector<int> reads;       ///< States of earlier sweeps, read as they were at each token.
  std::vector<int> outputs;     ///< What it writes, where it runs for its outputs.
  std::vector<int> recomputed;  ///< The earlier sweeps that hold `reads`, each after those that it
                                ///< needs in turn.
};

/// The sweeps of a program, in the order in which they run.
std::vector<Sweep> sweepsOf(const reference::Program& program);

/// The values that some roots need, themselves among them: one flag for each value of the program.
std::vector<bool> neededValues(const reference::Program& program, const std::vector<int>& roots);

/// The instruction that computes each value.
std::vector<int> definitions(const reference::Program& program);

/// The declaration of this kind and name; -1 where there is none.
int findDeclaration(const reference::Program& program, reference::Declaration::Kind kind,
                    const std::string& name);

}  // namespace lathe::cpu
