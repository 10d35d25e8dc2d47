// The tile of a kernel of a GPU, as the mode of tuning has it.
#pragma once

#include "lathe/lathe.h"
#include "tuner/Tuner.h"

namespace lathe::abi {

/// Tunes first where the mode is TUNE and the problem was not tuned; `oracle` says what is right.
/// Throws std::invalid_argument where no tile can run the problem, Error.
Choice chooseTile(const Problem& problem, const Oracle& oracle, const DeviceInfo& gpu,
                  lathe_tuning tuning);

}  // namespace lathe::abi
