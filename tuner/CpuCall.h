// A call of the CPU target that owns its memory.
#pragma once

#include "compiler/cpu/Cpu.h"
#include "tuner/Workload.h"

#include <list>

namespace lathe {

/// Tensors of a call in the dtypes of a kernel, dense. Outputs and final states are NaN until a
/// kernel has run.
class CpuCall {
public:
  /// `host` holds every input and param of the program, and the initial states that are not zero;
  /// slots are not for the CPU.
  CpuCall(const reference::Program& program, const cpu::Target& target, const Shape& shape,
          const HostCall& host);
  CpuCall(const CpuCall&) = delete;

  /// What a kernel takes; threads, spacing and consts may be set.
  cpu::Call& call() { return own; }
  /// Outputs and final states as fp64.
  HostResult download() const;

private:
  cpu::TensorView allocate(DType dtype, const std::vector<std::int64_t>& shape);

  cpu::Call own;
  std::list<std::vector<std::byte>> memory;
  std::vector<std::int64_t> starts;  ///< Of packed sequences.
  std::vector<std::string> outputs;
};

/// The dtypes of a signature by the names of the plan.
std::map<std::string, DType> dtypesByName(const Plan& plan, const Signature& signature);

}  // namespace lathe
