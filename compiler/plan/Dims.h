// The sizes of a call: what follows from others, and what no variant could run with.
#pragma once

#include "compiler/plan/Plan.h"

#include <map>
#include <string>

namespace lathe {

/// The size that `function` derives from `size`. Throws std::invalid_argument for an unknown
/// function.
long long derivedSize(const std::string& function, long long size);

/// `sizes` with those of derived dimensions added; what lacks the dimension that it follows from
/// stays away. Throws std::invalid_argument, which names the variant, where a size contradicts the
/// rules.
std::map<std::string, int> completeDims(const std::string& variant, const DimRules& rules,
                                        std::map<std::string, int> sizes);

}  // namespace lathe
