#include "compiler/spec/Parser.h"

#include "compiler/spec/Check.h"
#include "compiler/spec/Statements.h"

namespace lathe::spec {

namespace {

constexpr size_t maxBytes = 1 << 20;

}  // namespace

Spec parse(std::string_view text, Diagnostics& diagnostics) {
  if (text.size() > maxBytes) {
    diagnostics.error({.line = 0},
                      "the text has " + std::to_string(text.size()) +
                          " bytes, more than the 1 MiB that a spec may have",
                      "give the path of a .lathe file; variants can be split over several files");
    return {};
  }
  Cursor cursor(lex(text, diagnostics), diagnostics);
  Spec spec = parseSpec(cursor);
  if (spec.variants.empty() && !diagnostics.hasErrors())
    diagnostics.error({.line = 1, .column = 1}, "the file has no variant",
                      "write 'variant NAME(K, V) { ... }'");
  check(spec, diagnostics);
  return spec;
}

}  // namespace lathe::spec
