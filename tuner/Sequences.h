// A call taken apart into its sequences: how what knows one sequence alone runs packed ones and
// pools of states.
#pragma once

#include "tuner/Workload.h"

#include <functional>

namespace lathe {

/// The tokens of a sequence and its row of the states.
struct HostSequence {
  std::int64_t batch = 0, first = 0, tokens = 0;
  std::int64_t slot = 0;  ///< Negative: it starts from zero, and its final state is not kept.
};

HostSequence sequenceAt(const HostCall& call, const Shape& shape, std::int64_t index);

/// The call of one sequence alone, without lists.
HostCall callOf(const Plan& plan, const HostCall& call, const HostSequence& sequence);

/// The outputs and states of one sequence as if it had been called alone.
HostResult resultOf(const HostResult& result, const HostSequence& sequence);

/// What `run` computes of every sequence, in one result. Tokens of no sequence are 0, and so are
/// rows of a pool that no sequence has. A call without lists goes to `run` as it is; it is never
/// given one with lists.
HostResult runSequences(const Plan& plan, const std::map<std::string, int>& dims,
                        const Shape& shape, const HostCall& call,
                        const std::function<HostResult(const HostCall&)>& run);

}  // namespace lathe
