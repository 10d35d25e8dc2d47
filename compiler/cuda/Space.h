// The tiles that a plan may run with, and what each costs: the resource model that prunes before
// anything is compiled.
#pragma once

#include "compiler/cuda/Kernel.h"

namespace lathe {

/// What a kernel may use on one GPU, as the driver reports it or as the table of known
/// architectures says.
struct Device {
  std::string arch;  ///< "sm_90a"
  int multiprocessors = 132;
  std::size_t sharedPerBlock = 232448;  ///< Largest dynamic shared memory of a block.
  std::size_t sharedPerMultiprocessor = 233472;
  int registersPerMultiprocessor = 65536;
};

/// The device of a known architecture (sm_80, sm_86, sm_89, sm_90a, sm_100, sm_120). Throws
/// std::invalid_argument for others.
Device knownDevice(const std::string& arch);

/// Why a tile is not among the candidates.
struct Pruned {
  Tile tile;
  std::string reason;
};

struct Candidates {
  std::vector<Tile> tiles;  ///< Best first by the model; the first is the default.
  std::vector<Pruned> pruned;
};

/// Every tile of the family, in the canonical order of the model for `batchHeads` sequences times
/// heads.
Candidates candidates(const Plan& plan, Family family, const Signature& signature,
                      const Device& device, long long batchHeads);

}  // namespace lathe
