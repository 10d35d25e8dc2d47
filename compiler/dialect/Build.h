// Builds operations of the token program, with the result types that follow from named dimensions.
#pragma once

#include "compiler/dialect/Scalar.h"
#include "mlir/IR/Builders.h"

namespace lathe {

/// The dimensions of all of `values` without `removed` and with `added`, in the order of the
/// variant.
ValueType united(VariantOp variant, mlir::ValueRange values, llvm::StringRef removed = "",
                 llvm::StringRef added = "");

/// Creates operations inside one variant. Every result has the dimensions of its operands, in the
/// variant's order.
class TokenBuilder : public mlir::OpBuilder {
public:
  TokenBuilder(VariantOp variant, mlir::OpBuilder builder)
      : mlir::OpBuilder(builder), variant(variant) {}

  /// Where the following operations are said to come from.
  mlir::Location loc() const { return location; }
  void setLoc(mlir::Location loc) { location = loc; }

  mlir::Value literal(double value);
  mlir::Value dim(llvm::StringRef name);
  mlir::Value position();
  mlir::Value index(llvm::StringRef dim);
  mlir::Value map(Op op, mlir::ValueRange operands);
  mlir::Value sum(mlir::Value input, llvm::StringRef dim);
  mlir::Value max(mlir::Value input, llvm::StringRef dim);
  /// At least one of the operands has the dimension.
  mlir::Value contract(mlir::Value lhs, mlir::Value rhs, llvm::StringRef dim);
  mlir::Value rotate(mlir::Value input, llvm::StringRef dim);
  mlir::Value taylor(mlir::Value input, llvm::StringRef dim, llvm::StringRef features);
  mlir::Value taylorAdjoint(mlir::Value input, mlir::Value adjoint, llvm::StringRef dim,
                            llvm::StringRef features);
  /// `input` with the dimensions of `type` too; itself where it has them all.
  mlir::Value broadcast(mlir::Value input, ValueType type);

  /// The dimensions of all of `values`, without `removed`, with `added`.
  ValueType unite(mlir::ValueRange values, llvm::StringRef removed = "",
                  llvm::StringRef added = "") {
    return united(variant, values, removed, added);
  }

  VariantOp variant;

private:
  mlir::Location location = mlir::UnknownLoc::get(getContext());
};

/// The value of an update in normal form by single operations, built at the builder's place.
mlir::Value expand(TokenBuilder& builder, AffineOp affine);

/// The type of a value of the token program.
inline ValueType typeOf(mlir::Value value) { return llvm::cast<ValueType>(value.getType()); }

/// The number that a literal is; none for any other value.
std::optional<double> literalOf(mlir::Value value);

/// The operation that defines `value` where that is a map of just `op`; null else.
MapOp definingMap(mlir::Value value, Op op);

}  // namespace lathe
