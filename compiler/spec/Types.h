// The types of expressions.
#pragma once

#include "compiler/spec/Scope.h"

namespace lathe::spec {

/// What an expression may read, by the statement that it stands in.
struct Reader {
  bool constant = false;        ///< Of a const: numbers, dimensions and consts only.
  std::string_view state = {};  ///< Of an update: the state, whose own old value is no use of it.
};

/// The type of the expression, which it and its parts are marked with; reports what has none.
Type typeOf(Expr& expr, const Reader& reader, Scope& scope, Diagnostics& diagnostics);

}  // namespace lathe::spec
