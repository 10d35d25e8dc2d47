// Lists of dimensions: (K, V) of a variant, [K, V] of a value.
#pragma once

#include "compiler/spec/Ast.h"
#include "compiler/spec/Cursor.h"

namespace lathe::spec {

/// Parses the names up to the closing bracket, which it takes. Where `derived` is there, a name may
/// be followed by what its size follows from, as in (K, V, F = taylor2(K)). False where the list is
/// malformed, which is reported then.
bool parseDimensions(Cursor& cursor, TokenKind close, Dims& dims, std::vector<Span>& spans,
                     std::vector<Derivation>* derived = nullptr);

}  // namespace lathe::spec
