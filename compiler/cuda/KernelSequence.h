// Kernels that follow each other on a stream and hand each other memory: a pass that no single
// kernel computes. Plain data, no MLIR, no CUDA headers.
#pragma once

#include "compiler/cuda/Kernel.h"

#include <variant>

namespace lathe {

/// Dense memory in the workspace that steps hand to each other.
struct Temporary {
  enum class Shape {
    tokens,  ///< [batch, tokens, heads, dims]
    states,  ///< [sequences, heads, dims]
    zero,    ///< One element of [dims], zero, that all tokens and heads share.
  };

  /// As steps call it. Where the call passes a tensor of this name and of this shape, steps use
  /// that one.
  std::string name;
  Shape shape;
  std::vector<std::string> dims;
  DType dtype = DType::f32;
};

/// One kernel, left out where nothing that it writes is wanted. It takes the tensors of its plan as
/// any kernel does, by the names of Binder::Slot: "q", "initial S", "final S".
struct KernelStep {
  Plan plan;
  Signature signature;
  KernelSource source;
  /// What stands at a name of the step, where that is not the same name: a tensor of the call or a
  /// temporary, each as "q", "initial S" or "final S"; empty: nothing, of a state.
  std::map<std::string, std::string> names = {};
  /// Of steps that write the same, one may write more, `beside`: it runs where any of that is
  /// wanted, those that are `without` it where none is.
  std::vector<std::string> beside = {}, without = {};
  /// Final states that it reads rather than writes.
  std::vector<std::string> reads = {};
};

/// Sums a temporary in fp32 in one fixed order, into a tensor of the call. Left out where the call
/// does not pass that, or where steps have written it themselves.
struct SumStep {
  enum class Over {
    heads,      ///< [batch, tokens, heads, dims] to [batch, tokens, fewer heads, dims].
    sequences,  ///< [sequences, heads, dims] to [heads, dims].
    all,        ///< [sequences, heads] to one number without axes.
  };

  std::string from, to;
  Over over;
};

/// The sum over their own two axes of a temporary, which is fp32, times a state of the call: a
/// temporary without axes of its own. Left out where the call does not pass that state: `to` is
/// then absent to who reads it.
struct DotStep {
  std::string from, with, to;
  DType dtype = DType::f32;  ///< Of `with`.
};

/// A call passes the tensors that are named by steps and are no temporaries.
struct KernelSequence {
  std::string variant;
  std::map<std::string, int> dims;  ///< Of temporaries, among others.
  std::vector<Temporary> temporaries = {};
  std::vector<std::variant<KernelStep, SumStep, DotStep>> steps =
      {};  ///< In the order in which they run.
};

}  // namespace lathe
