// A variant as a flat list of operations, prepared once, so that nothing walks MLIR while tokens
// run.
#pragma once

#include "compiler/plan/Plan.h"

#include <string>
#include <vector>

namespace lathe::reference {

/// One operation on values that are numbered in the order in which they are computed.
struct Instruction {
  enum class Kind {
    input,          ///< The call's tensor `name` at the tokens at hand.
    param,          ///< The call's tensor `name` of this head.
    constant,       ///< The call's number `name`, or args[0].
    literal,        ///< `number`.
    dimension,      ///< The size of `name`.
    position,       ///< The index of the token in its sequence.
    state,          ///< The state `name` as it stands.
    map,            ///< `op` of args.
    sum,            ///< args[0] summed over `name`.
    max,            ///< The maximum of args[0] over `name`.
    contract,       ///< args[0] times args[1], summed over `name`.
    broadcast,      ///< args[0] with more dimensions.
    index,          ///< The index along `name`.
    rotate,         ///< args[0] with its halves along `name` exchanged: (x1, x2) to (-x2, x1).
    taylor,         ///< The Taylor features of args[0], over `name`; they lie along `features`.
    taylorAdjoint,  ///< The gradient of args[0], over `name`; args[1] is that of its features.
    cumulate,       ///< The running sum of args[0] over the tokens.
    runningMax,     ///< max(args[0] + args[1], args[2]), from the state args[0] on.
    scores,         ///< Of args[0] and args[1] over `name`, decaying by args[2] if there is one.
    apply,          ///< Scores args[0] times values args[1], decaying by args[2] if there is one.
    solve,          ///< n right sides, n * n blocks of scores, then a log-decay or none; n results.
  };

  Kind kind;
  Op op = Op::add;
  std::vector<int> args;
  std::vector<int> results;
  std::string name;
  std::string features;
  double number = 0;
  bool exclusive = false;   ///< cumulate, runningMax: without the token's own.
  bool strict = false;      ///< scores, apply: what a token reads before its own update.
  bool reverse = false;     ///< From the last token of the chunk to the first.
  bool transposed = false;  ///< apply, solve: from the tokens that read to those that wrote.
  bool perHead = false;     ///< The same for every token of a head: computed once.
  /// The `let` of the spec that the result is, in the form as written; what later passes make of it
  /// may carry the same name.
  std::string label;
};

/// A tensor of the call. `dims` are in the order of the variant; memory holds them in the order of
/// `stored`.
struct Declaration {
  enum class Kind { input, param, constant, output, state };

  Kind kind;
  std::string name;
  std::vector<std::string> dims;
  std::vector<std::string> stored;
  int value = -1;  ///< Output: the value written. State: its new value.
};

/// A walk over the tokens in one direction; see compiler/passes/Sweeps.h. Indices.
struct SweepPlan {
  bool reverse = false;
  std::vector<int> instructions;
  std::vector<int> updated, given, outputs;  ///< Declarations.
};

struct Program {
  std::string variant;
  std::vector<std::string> dims;
  DimRules rules;
  bool chunked = false;
  std::vector<std::vector<std::string>>
      values;  ///< The dimensions of each value, `token` and `source` first.
  std::vector<Instruction> instructions;
  std::vector<Declaration> declarations;
  std::vector<SweepPlan> sweeps;  ///< In the order in which they run.
};

}  // namespace lathe::reference
