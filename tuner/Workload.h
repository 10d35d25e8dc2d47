// Random calls of a plan: what tuning, benchmarks and GPU tests run on.
#pragma once

#include "compiler/cuda/Kernel.h"
#include "runtime/Launch.h"
#include "runtime/Memory.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lathe {

/// The shape of a call. Of packed sequences, `batch` is 1 and `tokens` those of all of them.
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
  std::vector<std::int64_t> cuSeqlens;  ///< As in IndexLists; empty: a row of the batch is one.
  std::vector<std::int64_t> slots;      ///< As in IndexLists; empty: states are no pool.

  std::int64_t sequences(const Shape& shape) const;
  /// Of the first axis of states: one for each sequence, or those of the pool.
  std::int64_t stateRows(const Shape& shape) const;
};

struct HostResult {
  std::map<std::string, HostTensor> outputs, states;
};

struct Draw {
  std::uint64_t seed = 1;
  bool initialStates = true;
  /// Log-decays are log(sigmoid(normal)) times this: 70 gives steps of about -50. Params that are
  /// no log-decays grow by its logarithm, as it is their exponential that scales a decay.
  double gateScale = 1;
  bool repeatedKeys = false;  ///< Every vector input is one of four, so that keys repeat.
  std::map<std::string, int> heads = {};                 ///< Inputs with fewer heads than the call.
  std::vector<std::int64_t> cuSeqlens = {}, slots = {};  ///< Of the call.
  std::int64_t pool = 0;  ///< Rows of the states, where there are slots.
};

/// Draws every input, param and state. Numbers are rounded to the dtype of their operand, so that a
/// kernel and the oracle see the same ones; the same arguments give the same numbers.
///
/// Inputs and states are normal(0, 1), but for a normaliser's state, which is a sum of positive
/// keys and therefore their absolute values; params are uniform in [0, 1), a param `in log` is
/// log(1 - 2^(-5 - head)) (RetNet, arXiv:2307.08621, section 3.1).
HostCall draw(const Plan& plan, const Signature& signature, const Shape& shape, const Draw& how);

/// How the tensors of a call lie in the memory of a GPU.
struct Placement {
  Placement(Layout layout = Layout::bthd) : layout(layout) {}

  Layout layout;
  int gap = 0;              ///< Elements between two tokens that belong to another tensor.
  int offset = 0;           ///< Elements by which the data is off its alignment of 256 bytes.
  bool inPlace = false;     ///< Final states overwrite the initial ones.
  bool finalStates = true;  ///< Whether final states are asked for.
  bool exchangedInitial = false,
       exchangedFinal = false;  ///< States with two axes lie with the first of them inside.
  bool wideLists = false;       ///< cu_seqlens and slots are int64, not int32.
  int device = 0;
};

/// A call on the device: owns its memory. Outputs and final states are poisoned with NaN and stand
/// between canaries, which also fill the gaps. What belongs to no sequence is NaN where it could be
/// read, and a canary where it could be written.
class DeviceCall {
public:
  /// A tensor of `host` that has batch 1 is repeated for every batch of `shape`.
  DeviceCall(const Plan& plan, const Signature& signature, const Shape& shape, const HostCall& host,
             Placement placement = {});

  const Call& call() const;
  /// The call with these constants instead of the spec's, bound to a workspace of its own where the
  /// kernel needs one. Binding it to another kernel may take the workspace from launches before.
  LaunchPlan bind(const Binder& binder, const std::map<std::string, float>& constants = {});
  /// Writes NaN over the outputs, final states and the workspace behind its head, or their initial
  /// values over states that are in place.
  void poison();
  /// Waits for the GPU. Outputs and final states as fp64, zero where they belong to no sequence.
  /// Throws Error where a canary was written over or the head of the workspace is not left zero,
  /// and what the kernel did wrong.
  HostResult download() const;

private:
  struct Impl;
  std::shared_ptr<Impl> impl;
};

/// RMS(found - expected) / RMS(expected); infinite where `found` has a NaN, or where `expected` is
/// all zero and `found` is not; 0 for tensors without elements. Throws std::invalid_argument where
/// the shapes differ.
double errorRatio(const HostTensor& found, const HostTensor& expected);

}  // namespace lathe
