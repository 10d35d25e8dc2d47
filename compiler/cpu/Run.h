// One task of a call: all sweeps of one sequence, head and slice. No MLIR.
#pragma once

#include "compiler/cpu/Bind.h"
#include "compiler/cpu/Workspace.h"

namespace lathe::cpu {

using Function = void (*)(const std::int64_t* frame);

/// The functions of a program, compiled for slices of one size.
struct Unit {
  struct Functions {
    Function full = nullptr;   ///< Carries the states and writes the outputs.
    Function carry = nullptr;  ///< Only carries the states.
  };

  Memory memory;
  std::vector<Functions> sweeps;
  long scratchBytes = 0;
};

struct Task {
  std::int64_t sequence = 0, head = 0;
  std::string sliceDim;  ///< Empty: the whole.
  long sliceStart = 0;
};

/// Tokens between two saved states, where none are asked for.
long defaultSpacing(const Unit& unit, std::int64_t tokens);

/// Computes one task; `spacing` tokens lie between two saved states.
void runTask(const reference::Program& program, const Unit& unit, const BoundCall& call,
             const Task& task, long spacing, Workspace& workspace);

}  // namespace lathe::cpu
