// Plans with one scan from each end (Plan::reverseScan): one kernel of two scans, the second of
// which goes through the tokens from the last to the first.
//
// The first leaves what it reads in the output, and the second makes the output of that and of what
// it reads itself.
#pragma once

#include "compiler/cuda/Families.h"

namespace lathe::cuda {

KernelSource emitPairedScans(const Plan& plan, const Signature& signature, const Tile& tile);

}  // namespace lathe::cuda
