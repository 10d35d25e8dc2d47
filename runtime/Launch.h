// The arguments of a call to the bytes that a kernel takes. Host code only: all but the launch
// itself works without a GPU.
#pragma once

#include "compiler/cuda/Kernel.h"
#include "runtime/Error.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace lathe {

/// A strided tensor in the memory of a GPU, not owned. Logical shapes, whatever the layout: inputs
/// [batch, tokens, heads', dims], outputs [batch, tokens, heads, dims], params [heads, dims],
/// states [sequences, heads, dims], where dims are those of the operand as the spec declares it,
/// none for a scalar. A sequence is a row of the batch, unless `IndexLists` says otherwise.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< In elements, one for each axis.
  int device = 0;
};

/// A view of memory that holds `shape` densely, last axis fastest.
TensorView contiguous(void* data, DType dtype, std::vector<std::int64_t> shape, int device = 0);

/// A list of signed integers in the memory of a GPU, not owned.
struct IndexView {
  const void* data = nullptr;
  int bits = 32;                      ///< Of an integer: 32 or 64.
  std::vector<std::int64_t> shape;    ///< One axis; none: there is no list.
  std::vector<std::int64_t> strides;  ///< In elements.
  int device = 0;

  bool isGiven() const { return data || !shape.empty(); }
};

/// A view of `size` integers one after the other.
IndexView contiguousList(const void* data, int bits, std::int64_t size, int device = 0);

/// Where the sequences of a call are. The numbers are read on the GPU alone, so that no call waits
/// for it, and none of them is checked.
struct IndexLists {
  /// [sequences + 1], never falling. Where given, sequences lie behind each other on the token axis
  /// of inputs and outputs, whose batch is 1: sequence n from token cuSeqlens[n] to
  /// cuSeqlens[n + 1]. Tokens before the first and behind the last are neither read nor written.
  IndexView cuSeqlens;
  /// [sequences]. Where given, states are pools [rows, heads, dims] of any number of rows:
  /// sequence n has row slots[n], which no other has; negative: none, and its outputs mean nothing.
  /// Other rows are neither read nor written.
  IndexView slots;
};

/// Memory of a GPU that a launch may use, not owned; LaunchPlan::workspaceBytes says how much. Its
/// first `workspaceHead` bytes (compiler/cuda/Segments.h) must be zero before its first use, and
/// each launch leaves them zero: launches that follow each other on a stream may share one, those
/// that may run at the same time may not.
struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
  int device = 0;
};

/// Throws ArgumentError where a workspace is too small for `bytes`, not aligned to 256 bytes or on
/// another GPU than `device`, that of the tensors.
void checkWorkspace(const Workspace& workspace, std::size_t bytes, int device);

/// The arguments of one call by the names that the spec gives them. For callers that count
/// microseconds, Binder::bind takes the same in the order of its slots.
struct Call {
  std::map<std::string, TensorView> tensors;  ///< Inputs, params and outputs: all of them.
  std::map<std::string, TensorView> initial,
      final;                               ///< States; absent: starts from zero, is not wanted.
  std::map<std::string, float> constants;  ///< Absent: the default of the spec.
  IndexLists lists;
  Workspace workspace;  ///< Needed where its size is not 0.
};

/// All that a launch needs. The argument is the one of compiler/cuda/Kernel.h.
struct LaunchPlan {
  static constexpr std::size_t maxArgumentBytes = 4096;  ///< Kernel parameters before CUDA 12.1.

  alignas(8) std::array<std::byte, maxArgumentBytes> argument;
  std::size_t argumentBytes = 0;
  unsigned grid = 0;               ///< Blocks; 0: there is nothing to do.
  std::size_t workspaceBytes = 0;  ///< Of the workspace that the launch needs.
  bool hasWorkspace = false;
  unsigned threads = 0;
  unsigned sharedBytes = 0;
  int device = 0;

  /// Where nothing is needed, nothing is looked at. Throws ArgumentError where the workspace is too
  /// small, not aligned to 256 bytes or on another GPU than the tensors.
  void useWorkspace(const Workspace& workspace);
};

/// Checks calls of one kernel and packs its argument. Names are looked up once, here; binding
/// allocates nothing. Thread-safe.
class Binder {
public:
  /// One tensor of the kernel: what the call must pass there.
  struct Slot {
    std::string name;  ///< "q"; for states "initial S" and "final S".
    std::string operand;
    Operand::Kind kind;
    KernelSource::Slot::Role role;
    DType dtype;
    int leading;  ///< Axes before those of the operand: 3 of a token, 2 of a state, 1 of a param.
    std::vector<std::string> dims;
    std::vector<std::int64_t> sizes;  ///< Of dims.
    bool apart = false;  ///< A state whose initial and final values must be different memory.

    bool written() const;  ///< Outputs and final states.
    bool mayBeAbsent() const { return kind == Operand::Kind::state; }
  };

  /// Throws ArgumentError where the signature lacks a dimension or dtype of the kernel, or the
  /// argument is too large.
  /// `multiprocessors`: of the GPU that it runs on, over which a launch spreads segments; 0: as the
  /// kernel's architecture has.
  Binder(const Plan& plan, const KernelSource& source, const Signature& signature,
         int multiprocessors = 0);

  const std::vector<Slot>& slots() const { return expected; }
  const std::vector<std::string>& constantNames() const { return constants; }
  const std::vector<float>& defaultConstants() const { return defaults; }

  /// Arguments in the order of `slots()`, a state with null data being absent; constants in that of
  /// `constantNames()`, or none for the defaults of the spec. Any strides, also zero or negative,
  /// as long as the axes of the operand itself are dense; a param is dense altogether, and a state
  /// may be dense with its two axes exchanged. An input may have fewer heads than the outputs,
  /// which they divide. Throws ArgumentError.
  LaunchPlan bind(std::span<const TensorView> arguments, std::span<const float> constants = {},
                  const IndexLists& lists = {}) const;

  /// The arguments of a call in the order of `slots()`. Throws ArgumentError for names that are
  /// missing or unknown.
  std::vector<TensorView> arguments(const Call& call) const;
  std::vector<float> constantsOf(const Call& call) const;
  /// Without a workspace in the call, what it needs is in the result all the same.
  LaunchPlan bind(const Call& call) const;

private:
  std::string variant, entry;
  std::vector<Slot> expected;
  std::vector<std::string> constants;
  std::vector<float> defaults;
  unsigned threads, sharedBytes;
  int tiles, headsOfBlock, multiprocessors;
  Segmenting segmenting;
  std::vector<BoxCopy> copies;
  std::size_t tokenBytes;
  Replay replay;
};

/// Binds one call once.
LaunchPlan bind(const Plan& plan, const KernelSource& source, const Signature& signature,
                const Call& call);

}  // namespace lathe
