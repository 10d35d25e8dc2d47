// What the verifiers of several files share.
#pragma once

#include "compiler/dialect/Dialect.h"

namespace lathe {

/// The dimensions of all of `values` without `removed` and with `added`, in the order of the
/// variant.
ValueType united(mlir::Operation* op, mlir::ValueRange values, llvm::StringRef removed = "",
                 llvm::StringRef added = "");

/// An error, which gives the rule, where `found` is of another type.
mlir::LogicalResult requireType(mlir::Operation* op, mlir::Value found, ValueType expected,
                                llvm::StringRef rule);

/// The attribute `derived` of a variant is a list of ["F", "taylor2", "K"].
mlir::LogicalResult verifyDerived(VariantOp variant);

}  // namespace lathe
