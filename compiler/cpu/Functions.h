// The scalar operations in fp32, on numbers and on vectors of them alike, as straight-line code:
// no call to a library, no branch, at most a few units in the last place from the true value.
#pragma once

#include "compiler/plan/Plan.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace lathe::cpu {

/// Creates the operation on f32 or vectors of f32; all operands have the type of the result. The
/// dialects arith and math are loaded.
mlir::Value createFunction(mlir::ImplicitLocOpBuilder& builder, Op op,
                           llvm::ArrayRef<mlir::Value> operands);

}  // namespace lathe::cpu
