// The functions of the spec language as operations of the dialect.
#pragma once

#include "compiler/dialect/Build.h"

namespace lathe {

/// What the call of a function means. Those that run along a dimension take `dim`, the one of
/// their argument; those that derive one give `derived`.
mlir::Value buildCall(TokenBuilder& builder, llvm::StringRef function, mlir::ValueRange args,
                      llvm::StringRef dim, llvm::StringRef derived);

}  // namespace lathe
