// From MLIR to the flat program of the interpreter.
#pragma once

#include "compiler/dialect/Dialect.h"
#include "compiler/reference/Program.h"

namespace lathe::reference {

/// The program of a variant in any form: token, normal or chunk. Its maps are single scalar
/// operations (simplify).
Program prepare(VariantOp variant);

}  // namespace lathe::reference
