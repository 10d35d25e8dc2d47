// Random calls of a plan: what tuning, benchmarks and GPU tests run on.
#pragma once

#include "compiler/cuda/Kernel.h"
#include "runtime/Launch.h"
#include "runtime/Memory.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lathe {

/// The shape of a call.
struct Shape {
  std::int64_t batch = 1, tokens = 1, heads = 1;
};

enum class Layout { bthd, bhtd };  ///< [B,T,H,D] or [B,H,T,D] in memory.

/// A tensor on the host: fp64 numbers in the logical shape (runtime/Launch.h), row-major.
struct HostTensor {
  std::vector<std::int64_t> shape;
  std::vector<double> data;
};

/// Everything that a call reads, and what it should write; names are those of the spec.
struct HostCall {
  std::map<std::string, HostTensor> tensors;  ///< Inputs and params.
  std::map<std::string, HostTensor> initial;  ///< States; empty: all start from zero.
};

struct HostResult {
  std::map<std::string, HostTensor> outputs, states;
};

struct Draw {
  std::uint64_t seed = 1;
  bool initialStates = true;
  double gateScale =
      1;  ///< Log-decays are log(sigmoid(normal)) times this: 70 gives steps of about -50.
  bool repeatedKeys = false;         ///< Every vector input is one of four, so that keys repeat.
  std::map<std::string, int> heads;  ///< Inputs with fewer heads than the call.
};

/// Draws every input, param and state. Numbers are rounded to the dtype of their operand, so that a
/// kernel and the oracle see the same ones.
HostCall draw(const Plan& plan, const Signature& signature, const Shape& shape, const Draw& how);

/// A call on the device: owns its memory. Outputs and final states are poisoned with NaN and stand
/// between canaries.
class DeviceCall {
public:
  DeviceCall(const Plan& plan, const Signature& signature, const Shape& shape, const HostCall& host,
             Layout layout = Layout::bthd);

  const Call& call() const;
  void poison();
  /// Outputs and final states as fp64. Throws Error where a canary was written over.
  HostResult download() const;

private:
  struct Impl;
  std::shared_ptr<Impl> impl;
};

/// RMS(found - expected) / RMS(expected); infinite where `found` has a NaN, or where `expected` is
/// all zero and `found` is not.
double errorRatio(const HostTensor& found, const HostTensor& expected);

}  // namespace lathe
