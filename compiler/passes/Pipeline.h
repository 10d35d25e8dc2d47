// The passes of each stage, which tools and tests run alike.
#pragma once

#include "mlir/Pass/PassManager.h"

namespace lathe {

/// From the simplified token form to the normal form.
void addNormalForm(mlir::OpPassManager& passes);

/// From the normal form to the chunk form.
void addChunkForm(mlir::OpPassManager& passes);

/// From the token or the chunk form to its adjoint.
void addGradient(mlir::OpPassManager& passes);

}  // namespace lathe
