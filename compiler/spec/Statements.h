// Variants and their statements.
#pragma once

#include "compiler/spec/Ast.h"
#include "compiler/spec/Cursor.h"

namespace lathe::spec {

/// Parses the tokens of a file. A statement in which a mistake was reported is `broken`, and is in
/// the tree where at least the name that it declares could be read.
Spec parseSpec(Cursor& cursor);

}  // namespace lathe::spec
