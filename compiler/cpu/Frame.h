// What the compiled functions take: one array of 64-bit words, and where everything lies in it and
// in the memory that it points to. Plain data, no MLIR.
#pragma once

#include "compiler/cpu/Schedule.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lathe::cpu {

using Sizes = std::map<std::string, long>;

/// A value in memory: fp32, row-major, its last dimension padded to whole vectors.
struct Layout {
  Dims dims;
  std::vector<long> sizes, strides;  ///< In elements, one for each dimension.
  long count = 1;                    ///< Of elements, padding included; a multiple of the lanes.

  Layout() = default;
  Layout(const Dims& dims, const Sizes& sizes, int lanes);
  long strideOf(const std::string& dim) const;
};

/// The states that one sweep carries, in one block.
struct StateBlock {
  std::map<int, long> offsets;  ///< Of each declaration, in elements.
  std::map<int, Layout> layouts;
  long count = 0;
};

/// The words of a frame. A pointer to a tensor is that of the first token of the sequence, at the
/// batch, head and slice at hand, and strides are in bytes.
struct Frame {
  static constexpr int first = 0;    ///< The index of the first token in its sequence.
  static constexpr int count = 1;    ///< Of tokens; one after the other in the sweep's direction.
  static constexpr int scratch = 2;  ///< Pointer to scratch memory.
  static constexpr int blocks = 3;   ///< For each sweep: pointer to its states, bytes to those of
                                     ///< the next token, 0 where they are updated in place.

  /// Inputs, params and outputs: pointer, stride of the tokens, strides of the dimensions in the
  /// order of memory. Consts: the number, as a float in the lower half. States: -1.
  std::vector<int> tensors;
  int words = 0;

  Frame() = default;
  Frame(const reference::Program& program, std::size_t sweeps);
};

/// All that the functions of one program share.
struct Memory {
  int lanes = 1;
  Sizes sizes;      ///< Of the slice that a function computes.
  Sizes fullSizes;  ///< Of the call.
  Dims order;
  std::vector<Sweep> sweeps;
  std::vector<StateBlock> blocks;  ///< One for each sweep.
  Frame frame;

  Memory(const reference::Program& program, Sizes sizes, Sizes fullSizes, int lanes);
  Dims ordered(const Dims& dims) const;
  int sweepOf(int state) const;
};

}  // namespace lathe::cpu
