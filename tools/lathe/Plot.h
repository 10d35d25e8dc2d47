// A bar chart of benchmark rows as SVG.
#pragma once

#include "tools/lathe/Suite.h"

#include <string>

namespace lathe::tool {

/// One bar a row: the share of the copy ceiling, 100 % being the time of a copy of min_bytes.
std::string plotSvg(const BenchRecord& record);

}  // namespace lathe::tool
