// The scalar operations of maps: one table between the plan's Op, the operations of arith, math and
// lathe, and numbers.
#pragma once

#include "compiler/dialect/Dialect.h"
#include "compiler/plan/Plan.h"

#include <optional>

namespace lathe {

/// The scalar operation that `op` is, or none: maps hold nothing else but literals and a yield.
std::optional<Op> scalarOpOf(mlir::Operation* op);

/// The operation that a map applies to its operands in their order; none for a map of several.
std::optional<Op> scalarOpOf(MapOp map);

/// Creates the scalar operation on f64 operands.
mlir::Value createScalar(mlir::OpBuilder& builder, mlir::Location loc, Op op,
                         mlir::ValueRange operands);

}  // namespace lathe
