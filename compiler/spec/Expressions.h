// The expressions of the spec language.
#pragma once

#include "compiler/spec/Ast.h"
#include "compiler/spec/Cursor.h"

namespace lathe::spec {

/// An expression may be this many operations deep: more is a mistake, and recursion over the tree
/// has a bound.
constexpr int maxExpressionDepth = 200;

/// Parses an expression. Null where it is malformed, which is reported then.
std::unique_ptr<Expr> parseExpression(Cursor& cursor);

}  // namespace lathe::spec
