// One state within a chunk of tokens (Yang et al. 2023, section 4; Yang et al. 2024, "Parallelizing
// linear transformers with the delta rule"). With S_0 the state at the chunk's start, G the running
// sum of the log-decays, and pairs x_j y_j that token j writes:
//
//   q_i @ S_i = (q_i e^{G_i}) @ S_0 + sum_{j<=i} (sum_d q_id x_jd e^{G_id - G_jd}) y_j
//   S_C       = e^{G_C} S_0 + sum_j (x_j e^{G_C - G_j}) y_j
//
// A log-decay over the second dimension does the same to what is read: [i, j] counts
// e^{G_iv - G_jv} times for column v.
#pragma once

#include "compiler/dialect/Build.h"

namespace lathe {

struct ChunkState {
  mlir::Value initial;           ///< At the chunk's start; the end's, where it is in reverse.
  mlir::Value keyDecay;          ///< The log-decay of each token over the key or alone, or null.
  mlir::Value valueDecay;        ///< The log-decay of each token over the value, or null.
  std::string keyDim, valueDim;  ///< Empty where the state has no such dimension.
  bool reverse = false;
  llvm::SmallVector<std::pair<mlir::Value, mlir::Value>>
      writes;          ///< Keys and values of each token.
  bool ready = false;  ///< False while its own operands are being built.
};

/// Builds what is read from a state, for every token of the chunk. `before` reads what the state
/// was before the update of the token.
class ChunkReader {
public:
  ChunkReader(TokenBuilder& builder, const ChunkState& state) : builder(builder), state(state) {}

  /// `value` for every token.
  static mlir::Value perToken(TokenBuilder& builder, mlir::Value value);

  /// x_i @ S_i over one dimension of the state.
  mlir::Value read(mlir::Value x, llvm::StringRef dim, bool before);
  /// S_i itself, of a state with one dimension or none.
  mlir::Value whole(bool before);
  /// The state at the chunk's end.
  mlir::Value final();
  /// How much of what token j wrote with `y` token i reads with `x`.
  mlir::Value scores(mlir::Value x, mlir::Value y, llvm::StringRef dim, bool before);
  /// Rows w^r = b^r @ S_{t-1} of every token, where each token also writes a^r w^r:
  ///   w^r_i = (b^r_i e^{G_{i-1}}) @ S_0 + sum_{j<i} [b^r_i, x_j] y_j + sum_s sum_{j<i}
  ///   [b^r_i, a^s_j] w^s_j
  llvm::SmallVector<mlir::Value> solve(llvm::ArrayRef<mlir::Value> lefts,
                                       llvm::ArrayRef<mlir::Value> rights);

private:
  mlir::Value decayOf(llvm::StringRef dim) const {
    return dim == state.valueDim && !dim.empty() ? state.valueDecay : state.keyDecay;
  }
  mlir::Value apply(mlir::Value scores, mlir::Value values, mlir::Value decay, bool before);
  /// exp of the running sum of `decay`; null without decay.
  mlir::Value kept(mlir::Value decay, bool exclusive, bool reverse);
  /// `x` times kept(...).
  mlir::Value decayed(mlir::Value x, mlir::Value decay, bool exclusive, bool reverse);
  mlir::UnitAttr flag(bool set) { return set ? builder.getUnitAttr() : mlir::UnitAttr(); }

  TokenBuilder& builder;
  const ChunkState& state;
};

}  // namespace lathe
