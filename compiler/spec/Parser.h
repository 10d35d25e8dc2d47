// Text to a checked syntax tree.
#pragma once

#include "compiler/spec/Ast.h"

#include <string_view>

namespace lathe::spec {

/// Parses and checks the text of a `.lathe` file. Never throws, whatever the text. The tree is complete and every type
/// in it is set exactly when `diagnostics` holds no error.
Spec parse(std::string_view text, Diagnostics& diagnostics);

}  // namespace lathe::spec
