// The tensors of a program of the CPU target as the ABI names them.
#pragma once

#include "tools/liblathe/Kernel.h"
#include "tuner/CpuTuner.h"

namespace lathe::abi {

/// Where a tensor of the ABI goes in a call of the CPU target.
struct CpuPlace {
  enum class Part { tensors, initial, final };
  Part part = Part::tensors;
  std::string key;
};

struct CpuRules {
  std::vector<TensorRule> tensors;
  std::vector<CpuPlace> places;  ///< One for each tensor.
};

CpuRules rulesOf(const CpuProblem& problem, const cpu::Target& target);

}  // namespace lathe::abi
