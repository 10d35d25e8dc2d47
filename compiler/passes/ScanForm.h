// Whether the scan family runs a plan, and how it reads it.
#pragma once

#include "compiler/plan/Plan.h"

namespace lathe {

/// Why the scan family does not run a plan: what is wrong with an operand, or (-1) with the whole.
struct NoScan {
  int operand = -1;
  std::string reason;
};

/// Gives a plan whose operands, nodes and recurrences are complete its scan, or one from each end;
/// false, and `why`, where it has none. A sum of several log-decays becomes a node at the end. A
/// part of a gradient (ScanGradient.h) may put out sums over V as well.
bool findScanForm(Plan& plan, bool isPart, NoScan& why);

}  // namespace lathe
