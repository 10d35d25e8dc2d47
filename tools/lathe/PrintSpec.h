// A checked spec as text again, in one style: what `lathe emit --stage spec` prints.
#pragma once

#include "compiler/spec/Ast.h"

#include <string>

namespace lathe::tool {

/// Parses to the same tree, less comments and places. Declarations of one kind that stand together
/// share a line.
std::string printSpec(const spec::Spec& spec);
std::string printVariant(const spec::Variant& variant);

}  // namespace lathe::tool
