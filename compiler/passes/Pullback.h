// Reverse-mode differentiation of a program: what flows back into every value from those that are
// computed from it.
#pragma once

#include "compiler/dialect/Build.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace lathe {

/// Collects the gradients of the values of one variant while its operations are walked from the
/// last to the first. Every gradient has the dimensions of its value.
class Pullback {
public:
  /// New operations go to the end of the variant.
  Pullback(VariantOp variant, TokenBuilder& builder);

  /// What has flowed into `value` so far; null for nothing.
  mlir::Value of(mlir::Value value) const { return gradients.lookup(value); }

  /// Lets `gradient`, summed over the dimensions that `value` lacks, flow into `value`.
  void add(mlir::Value value, mlir::Value gradient);

  /// Passes what has flowed into the results of an operation on to its operands.
  void through(mlir::Operation& op);

private:
  /// Whether anything that can be differentiated is behind a value.
  bool isActive(mlir::Value value) const { return active.contains(value); }

  void addProduct(mlir::Value value, mlir::Value a, mlir::Value b);
  /// a * b, summed over the dimensions that `type` lacks, with those that the product lacks.
  mlir::Value reduced(mlir::Value a, mlir::Value b, ValueType type);
  mlir::Value reduced(mlir::Value a, ValueType type);
  mlir::Value negated(mlir::Value a) { return builder.map(Op::negate, a); }

  void throughMap(MapOp map, mlir::Value d);
  void throughSum(SumOp sum, mlir::Value d);
  void throughMax(MaxOp max, mlir::Value d);
  void throughContract(ContractOp contract, mlir::Value d);
  void throughCumulate(CumulateOp cumulate, mlir::Value d);
  void throughScores(ScoresOp scores, mlir::Value d);
  void throughApply(ApplyOp apply, mlir::Value d);
  void throughSolve(SolveOp solve);

  mlir::Value scores(mlir::Value x, mlir::Value y, mlir::Value decay, bool strict, bool reverse);
  mlir::Value apply(mlir::Value scores, mlir::Value values, mlir::Value decay, bool strict,
                    bool reverse, bool transposed);
  /// Every exponent is a sum of log-decays from the token that wrote to the one that reads: what
  /// flows into it is `read` at the one end, `written` at the other.
  void addDecay(mlir::Value decay, mlir::Value read, mlir::Value written, bool strict,
                bool reverse);
  mlir::UnitAttr flag(bool set) { return set ? builder.getUnitAttr() : mlir::UnitAttr(); }

  TokenBuilder& builder;
  llvm::DenseMap<mlir::Value, mlir::Value> gradients;
  llvm::DenseSet<mlir::Value> active;
};

/// The derivative of a scalar operation after one of its operands, as a value over the dimensions
/// of `operands` and `result`; null where it is zero everywhere. Not for add, subtract, negate,
/// multiply and divide, whose pull-back has no factor to name.
mlir::Value derivative(TokenBuilder& builder, Op op, mlir::ValueRange operands, mlir::Value result,
                       unsigned operand);

}  // namespace lathe
