// Instructions bound to buffers and sizes: what a token or a chunk runs.
#pragma once

#include "compiler/reference/Nest.h"
#include "compiler/reference/Program.h"

#include <functional>
#include <span>

namespace lathe::reference {

using Step = std::function<void()>;

/// Where a value lives while a program runs.
struct Slot {
  Names dims;
  double* data = nullptr;
};

/// out = op of the operands, which broadcast.
Step mapStep(Op op, const Slot& out, std::span<const Slot> operands, const Sizes& sizes);
/// out = operand, over more dimensions.
Step broadcastStep(const Slot& out, const Slot& operand, const Sizes& sizes);
/// out = sum over `dim` of a * b; `b` may be null, for a sum.
Step contractStep(const Slot& out, const Slot& a, const Slot* b, const std::string& dim,
                  const Sizes& sizes);
Step maxStep(const Slot& out, const Slot& operand, const std::string& dim, const Sizes& sizes);

/// The features of a token: what rotary embeddings and Taylor features are made of. `features` is
/// the dimension of the Taylor features of what lies along `dim`.
Step rotateStep(const Slot& out, const Slot& operand, const std::string& dim, const Sizes& sizes);
Step taylorStep(const Slot& out, const Slot& operand, const std::string& dim,
                const std::string& features, const Sizes& sizes);
Step taylorAdjointStep(const Slot& out, const Slot& operand, const Slot& adjoint,
                       const std::string& dim, const std::string& features, const Sizes& sizes);

/// The operations of the chunk form. `token` is the first dimension of their operands; `decay` may
/// be null.
struct Order {
  bool before = false;      ///< exclusive, strict: without the token's own.
  bool reverse = false;     ///< From the last token to the first.
  bool transposed = false;  ///< From the tokens that read to those that wrote.
};
Step cumulateStep(const Slot& out, const Slot& operand, Order order, const Sizes& sizes);
Step runningMaxStep(const Slot& out, const Slot& state, const Slot& decay, const Slot& input,
                    Order order, const Sizes& sizes);
Step scoresStep(const Slot& out, const Slot& x, const Slot& y, const Slot* decay,
                const std::string& dim, Order order, const Sizes& sizes);
Step applyStep(const Slot& out, const Slot& scores, const Slot& values, const Slot* decay,
               Order order, const Sizes& sizes);
Step solveStep(std::span<const Slot> results, std::span<const Slot> rights,
               std::span<const Slot> blocks, const Slot* decay, Order order, const Sizes& sizes);

}  // namespace lathe::reference
