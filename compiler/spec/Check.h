// The rules that a spec must keep.
#pragma once

#include "compiler/spec/Ast.h"

namespace lathe::spec {

/// Checks names, types and rules, and fills in the types of the tree (Expr::dims,
/// Expr::contracted, Statement::dims of let).
void check(Spec& spec, Diagnostics& diagnostics);

}  // namespace lathe::spec
