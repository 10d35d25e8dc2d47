// What kind of recurrence a variant is, in one line.
#pragma once

#include "compiler/plan/Plan.h"

#include <string>

namespace lathe::tool {

/// "scalar decay", "decay over K", "scalar decay and decay over K", "no decay".
std::string decayText(const Plan& plan, const Recurrence& recurrence);

/// "decay over K, scan", "scalar decay, 1 rank-1 term, sequential on the GPU".
std::string classify(const Plan& plan);

}  // namespace lathe::tool
