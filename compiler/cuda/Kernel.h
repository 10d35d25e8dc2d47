// What a kernel is specialised on, and what emission makes of it. No MLIR, no CUDA headers.
#pragma once

#include "compiler/plan/Plan.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lathe {

enum class DType { f32, bf16, f16 };

const char* name(DType dtype);
int bytes(DType dtype);

/// What a kernel is specialised on beside the plan. Lengths, strides and pointers are never part of
/// it.
struct Signature {
  std::map<std::string, int> dims;  ///< The size of every dimension of the plan.
  DType compute = DType::bf16;      ///< Of the operands of the tensor cores.
  bool pairedHeads = false;  ///< Whether heads 2 i and 2 i + 1 share queries and keys in each call.
  std::vector<DType> dtypes;  ///< One for each of Plan::operands (constants: ignored).
};

/// The form of a family's kernel: the portable one (sm_80 and up), one for sm_90a alone, or, of
/// step and sequential, one for plans of any shape (sm_80 and up).
enum class Form { portable, sm90a, general };

const char* name(Form form);  ///< "portable", "sm_90a", "general"
/// Throws std::invalid_argument for other names.
Form formNamed(const std::string& name);

/// The numbers that tuning chooses. Which of them a family reads is said in Space.h.
struct Tile {
  int chunk = 16;   ///< Tokens between two updates of the state.
  int block = 64;   ///< Tokens loaded, transformed and scored together: a multiple of chunk, or 64.
  int blockV = 64;  ///< Columns of the state held by one thread block; may be those of two heads.
  int stages = 2;   ///< Blocks of tokens in flight from global to shared memory.
  int splitK = 1;   ///< Lanes that share one column of the state (step, sequential).
  int columns = 1;  ///< Columns that one lane holds (step, sequential).
  Form form = Form::portable;
  int segments = 0;  ///< At most so many of a sequence run at the same time; 0: the launch chooses.

  auto operator<=>(const Tile&) const = default;
};

/// "c16 b64 v64 s2 k1 x1", then " n8" of segments and " sm_90a" or " general".
std::string toString(const Tile& tile);

/// What a kernel divides by a number of heads with.
constexpr std::uint32_t reciprocal(std::int32_t divisor) {
  return divisor > 0 ? ~std::uint32_t(0) / std::uint32_t(divisor) : 0;
}

/// What a launch is told of its call beside the tensors.
struct KernelSizes {
  std::int32_t batch = 0;   ///< Sequences.
  std::int32_t tokens = 0;  ///< Of each sequence, or of all together where `sequences` is given.
  std::int32_t heads = 0;
  std::uint32_t headsReciprocal = 0;  ///< reciprocal(heads)
  std::int32_t segments = 1;          ///< Parts of a sequence that run at the same time.
  std::int32_t wide = 0;              ///< Which lists are int64, not int32: 1 sequences, 2 slots.
  const void* sequences =
      nullptr;  ///< cu_seqlens [batch + 1]: sequence i has tokens from i to i + 1.
  const void* slots =
      nullptr;  ///< [batch]: the row of each sequence in its states; negative: none.
  void* workspace = nullptr;
};
static_assert(sizeof(KernelSizes) == 48);

/// One strided operand of a launch, as the kernel sees it. Strides count elements; the last axis of
/// all but states is contiguous.
struct KernelTensor {
  void* data = nullptr;
  std::int64_t batch = 0;
  std::int64_t token = 0;  ///< Of a state: the stride of its first own axis.
  std::int64_t head = 0;
  std::int32_t headGroup = 1;  ///< Heads of the launch that share one head of this operand.
  std::int32_t inner = 0;  ///< The stride of a state's second own axis; else reciprocal(headGroup).
};
static_assert(sizeof(KernelTensor) == 40);

/// How a kernel divides sequences into segments that run at the same time (Segments.h).
struct Segmenting {
  int chunk = 0;              ///< Tokens, of which a segment has whole numbers; 0: no segments.
  int most = 0;               ///< Tile::segments
  std::size_t roomBytes = 0;  ///< What one block has in the workspace.
  /// Whether all of a sequence is swept before any of it is walked: one block does both, or so many
  /// sweep and as many others walk.
  bool isSum = false;
  /// Whether a scan from each end has as many segments, the latter's behind the former's.
  bool isPair = false;
};

/// How a kernel computes again what a walk over a sequence leaves to the next, a span at a time.
struct Replay {
  int span = 0;                     ///< Tokens; 0: nothing is computed again.
  std::size_t checkpointBytes = 0;  ///< For each span of every head and tile, the states before it.
  std::size_t roomBytes = 0;        ///< Of each block, for what is computed again of one span.
};

/// A tensor that a kernel copies in boxes of `columns` elements by `tokens` where its strides let
/// the copy engine of sm_90 do it.
struct BoxCopy {
  int tensor = 0;  ///< Its place in the argument.
  int columns = 0, tokens = 0;
};
/// What the copy engine is told of a tensor: CUtensorMap of cuda.h.
struct alignas(64) TensorMap {
  std::uint64_t opaque[16];
};

/// A generated kernel. It takes one argument by value: `KernelSizes`, `KernelTensor
/// tensors[tensorCount]` in the order of `tensors`, then `float constants[max(1, constantCount)]`;
/// where it has `copies`, then `int32 mapped`, a bit for each of them that has a map, and, aligned
/// to 64 bytes, `TensorMap maps[copies.size()]`.
struct KernelSource {
  /// Which tensor stands at a place of the argument: an operand, and of a state its initial or its
  /// final value.
  struct Slot {
    enum class Role { operand, initial, final };
    int operand;
    Role role;
  };

  std::string text;   ///< Complete CUDA C++ without includes.
  std::string entry;  ///< The name of its `extern "C"` kernel.
  std::string arch;   ///< The only architecture that runs it; empty: all from sm_80 on.
  std::vector<Slot> tensors;
  std::vector<int> constants;  ///< Operands of kind constant, in the order of the argument.
  int threads = 0;
  std::size_t sharedBytes = 0;  ///< Dynamic shared memory.
  /// States that every block of a head reads and one of them writes: the memory of their initial
  /// value must not be that of their final one.
  std::vector<int> sharedStates;
  std::vector<BoxCopy> copies;
  /// For every token of every head and tile, behind the head of the workspace (Segments.h): what
  /// one walk over a sequence leaves to the next.
  std::size_t tokenBytes = 0;
  Replay replay;  ///< The other way to do so.
  /// The grid is batch * heads / headsOfBlock * tilesPerHead * segments.
  int tilesPerHead = 1, headsOfBlock = 1;
  Segmenting segmenting;
};

/// Writes the kernel of `family` for `plan`. Deterministic to the byte. Throws
/// std::invalid_argument, with the rule that is broken, where the family cannot run this plan with
/// this signature and tile.
KernelSource emit(const Plan& plan, Family family, const Signature& signature, const Tile& tile);

/// The defaults of the `const`s of a plan at these head dims, in the order of
/// KernelSource::constants.
std::vector<float> defaultConstants(const Plan& plan, const Signature& signature,
                                    const KernelSource& kernel);

}  // namespace lathe
