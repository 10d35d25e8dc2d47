// The passes over one variant, in the order in which they run: simplify, recognise-recurrence,
// form-chunks.
#pragma once

#include "compiler/dialect/Dialect.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace lathe {

#define GEN_PASS_DECL
#include "compiler/passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/passes/Passes.h.inc"

}  // namespace lathe
