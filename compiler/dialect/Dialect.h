// The lathe dialect: what LatheOps.td declares, as C++.
#pragma once

#include "compiler/plan/Plan.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace lathe {

class StateOp;
class UpdateOp;

/// The dimensions that only the chunk form has: the token that reads, and an earlier token of the
/// same chunk.
inline constexpr llvm::StringLiteral tokenDim = "token";
inline constexpr llvm::StringLiteral sourceDim = "source";

/// What the adjoint program calls the gradient of a declaration; no name of a spec has a dot.
inline std::string gradientName(llvm::StringRef name) { return "d." + name.str(); }

/// What the normal form calls the logarithm of what a state, the first of those that share it, is
/// divided by.
inline std::string scaleName(llvm::StringRef name) { return name.str() + ".log_scale"; }

/// The attribute of a variant that says which of its dimensions follow from others.
inline constexpr llvm::StringLiteral derivedAttr = "derived";

}  // namespace lathe

#include "compiler/dialect/LatheDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "compiler/dialect/LatheTypes.h.inc"

#define GET_OP_CLASSES
#include "compiler/dialect/LatheOps.h.inc"
