// What kind of recurrence a variant is, in one line.
#pragma once

#include "compiler/plan/Plan.h"

#include <string>

namespace lathe::tool {

/// "scalar decay", "decay over K", "scalar decay and decay over K", "no decay"; as the spec has it,
/// without what keeps an exponential gate finite.
std::string decayText(const Plan& plan, const Recurrence& recurrence);

/// "decay over K, scan", "scalar decay, 1 rank-1 term, sequential on the GPU": what its states are,
/// each kind once, and what runs it on a GPU. A vector state that adds the keys of a matrix state
/// under the same decay is its normaliser, whether a kernel makes use of that or not.
std::string classify(const Plan& plan);

}  // namespace lathe::tool
