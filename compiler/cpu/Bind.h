// The rules of a call: what each argument must be, and the texts for those that are not.
#pragma once

#include "compiler/cpu/Cpu.h"
#include "compiler/cpu/Frame.h"

namespace lathe::cpu {

/// A checked tensor: where it is, and its strides in bytes.
struct Bound {
  std::byte* data = nullptr;  ///< Null: a state that is absent.
  std::int64_t outer = 0;     ///< Of batches, or of sequences for a state.
  std::int64_t token = 0, head = 0;
  std::vector<std::int64_t> dims;  ///< In the order of memory of the program.
  std::int64_t heads = 1;          ///< Of the tensor.
};

/// A checked call. Vectors have an entry for each declaration of the program.
struct BoundCall {
  std::int64_t batch = 0, tokens = 0, heads = 0;
  bool isPacked = false;
  std::vector<std::int64_t> starts;  ///< Of packed sequences, and the end of the last one.
  std::vector<Bound> tensors, initial, final;
  std::vector<float> constants;

  std::int64_t sequences() const {
    return isPacked ? static_cast<std::int64_t>(starts.size()) - 1 : batch;
  }
};

/// Throws std::invalid_argument.
BoundCall bindCall(const reference::Program& program, const std::vector<DType>& dtypes,
                   const Memory& memory, const Call& call);

/// The dtype of each declaration. Throws std::invalid_argument for names that are none.
std::vector<DType> dtypesOf(const reference::Program& program, const Target& target);

/// The size of every dimension. Throws std::invalid_argument.
Sizes sizesOf(const reference::Program& program, const Target& target);

}  // namespace lathe::cpu
