// Whether the scan family runs a plan, and how it reads it.
#pragma once

#include "compiler/plan/Plan.h"

namespace lathe {

/// The scan form of a plan whose operands, nodes and recurrences are complete. Where there is none,
/// one remark is added to the plan that says why. A sum of several log-decays becomes a node at the
/// end.
std::optional<ScanForm> findScanForm(Plan& plan);

}  // namespace lathe
