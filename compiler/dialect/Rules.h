// Rules that the verifiers of several operations share; each gives the error where it is broken.
#pragma once

#include "compiler/dialect/Build.h"

namespace lathe {

/// The dimensions of all of `values` without `removed` and with `added`, in the order of the
/// variant.
ValueType united(mlir::Operation* op, mlir::ValueRange values, llvm::StringRef removed = "",
                 llvm::StringRef added = "");

/// `found` has the dimensions `expected`; `rule` says why it should.
mlir::LogicalResult requireType(mlir::Operation* op, mlir::Value found, ValueType expected,
                                llvm::StringRef rule);

mlir::LogicalResult requireScalar(mlir::Operation* op, mlir::Value value);

/// Every dimension of `value` is one of `accepted`.
mlir::LogicalResult requireWithin(mlir::Operation* op, mlir::Value value,
                                  llvm::ArrayRef<llvm::StringRef> accepted, llvm::StringRef what);

/// The attribute `derived` of a variant is a list of ["F", "taylor2", "K"].
mlir::LogicalResult verifyDerived(VariantOp variant);

}  // namespace lathe
