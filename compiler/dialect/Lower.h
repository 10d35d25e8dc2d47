// From the checked syntax tree to the dialect.
#pragma once

#include "compiler/dialect/Dialect.h"
#include "compiler/spec/Ast.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace lathe {

/// A module with one `lathe.variant` in token form for every variant of the spec. Every location is
/// a line and column of `fileName`. The spec is one that spec::parse found no error in. The context
/// has the dialects lathe, arith and math.
mlir::OwningOpRef<mlir::ModuleOp> lower(const spec::Spec& spec, llvm::StringRef fileName,
                                        mlir::MLIRContext& context);

}  // namespace lathe
