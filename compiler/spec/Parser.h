// Text to a checked syntax tree.
#pragma once

#include "compiler/spec/Ast.h"

#include <string_view>

namespace lathe::spec {

/// Parses and checks the text of a `.lathe` file (UTF-8, at most 1 MiB). Reports every mistake to
/// `diagnostics` and throws for none of them. The tree is complete and every type in it is set
/// exactly when no error was reported.
Spec parse(std::string_view text, Diagnostics& diagnostics);

}  // namespace lathe::spec
