// The CPU target: a variant, or its gradient, compiled for this processor. No MLIR.
//
// A program goes token by token, vectorised over one dimension of its states, in parallel over
// sequences, heads and slices of that dimension. Tensors are fp32, bf16 or fp16, arithmetic and
// states are fp32.
#pragma once

#include "compiler/cuda/Kernel.h"
#include "compiler/reference/Program.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace lathe::cpu {

/// A strided tensor in the memory of this process, not owned. Inputs [batch, tokens, heads', dims],
/// outputs [batch, tokens, heads, dims], params [heads, dims], states [sequences, heads, dims],
/// where dims are those of the spec in the order in which it declares them. An input may have fewer
/// heads than the others, which they divide: head i reads head i / (heads / heads').
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< In elements, one for each axis; of the last one 1, where
                                      ///< the tensor has dims.
};

/// A view of memory that holds `shape` densely, last axis fastest.
TensorView contiguous(void* data, DType dtype, std::vector<std::int64_t> shape);

/// What a kernel is compiled for.
struct Target {
  std::map<std::string, int> dims;      ///< The size of every dimension of the program.
  std::map<std::string, DType> dtypes;  ///< Of inputs, params and outputs; absent: fp32.
  /// Elements of the vector dimension that one task computes, rounded up to whole vectors; 0: what
  /// fits the cache. Programs that sum over this dimension ignore it.
  int slice = 0;
};

struct Call {
  std::map<std::string, TensorView> tensors;  ///< Inputs, params and outputs: all of them.
  std::map<std::string, TensorView> initial;  ///< States, fp32; absent: from zero.
  std::map<std::string, TensorView> final;    ///< States, fp32; absent: not wanted. A state that
                                              ///< goes in reverse is final at the first token.
  std::map<std::string, double> constants;    ///< Absent: the default of the spec.
  /// Where not empty: sequences lie one after the other in the one row of the batch, sequence n
  /// from token cuSeqlens[n] to cuSeqlens[n + 1].
  std::variant<std::span<const std::int32_t>, std::span<const std::int64_t>> cuSeqlens;
  int threads = 0;  ///< 0: as many as there are processors.
  /// Tokens between two saved states, where a sweep needs those of one in the other direction; 0: a
  /// balance of memory and cache.
  int spacing = 0;
};

/// A compiled program. It is called from several threads at once; each call takes workspace of the
/// kernel, which keeps it for the next.
class Kernel {
public:
  /// Throws std::invalid_argument where a dimension is missing or not positive, or a name of a
  /// dtype is unknown.
  Kernel(const reference::Program& program, const Target& target);
  ~Kernel();
  Kernel(Kernel&&) noexcept;

  /// Returns when all is computed. Outputs and final states may not overlap other arguments, except
  /// that a state's initial and final value may be the same memory. Throws std::invalid_argument
  /// where an argument breaks a rule; nothing is written then.
  void run(const Call& call) const;

  /// How the vector dimension is cut: its name and the size of a slice; no name where it is not.
  std::string sliceDim() const;
  int slice() const;
  /// Whether Call::spacing means anything: a sweep needs states of the other direction.
  bool recomputes() const;

private:
  struct Code;
  std::unique_ptr<Code> code;
};

}  // namespace lathe::cpu
