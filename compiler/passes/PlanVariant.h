// From MLIR to plain data: the plan of a variant in normal form.
#pragma once

#include "compiler/dialect/Dialect.h"
#include "compiler/plan/Plan.h"

namespace lathe {

/// The plan of a simplified variant in normal form (states without one keep the nodes of their
/// update). One node for each operation, in their order, so that the plan is a function of the text
/// of the spec.
Plan planVariant(VariantOp variant);

/// The plan of an adjoint a token at a time (derive-gradient), for the sequential family.
Plan planAdjoint(VariantOp adjoint);

/// The plan of a part of the gradient of a scan (ScanGradient.h).
Plan planPart(VariantOp part);

/// Line and column of an operation in the spec; zeros where it has none.
Remark placeOf(mlir::Location loc);

}  // namespace lathe
