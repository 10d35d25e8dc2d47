// No text makes the parser crash, hang, or keep more diagnostics than it may.
#include "compiler/spec/Parser.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>

namespace {

/// A caret must stand within its line, or one past its end.
void checkSpan(std::string_view text, lathe::Span span) {
  for (int line = 1; line < span.line; ++line)
    text.remove_prefix(text.find('\n') + 1);
  const size_t length = text.substr(0, text.find('\n')).size();
  if (span.line < 1 || span.column < 1 || static_cast<size_t>(span.column) > length + 1)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  lathe::Diagnostics diagnostics;
  lathe::spec::parse(text, diagnostics);
  if (diagnostics.all().size() > 3 * lathe::Diagnostics::maxKept)
    std::abort();
  for (const lathe::Diagnostic& diagnostic : diagnostics.all())
    checkSpan(text, diagnostic.span);
  std::ostringstream printed;
  diagnostics.print(printed, "fuzz.lathe", text);
  return 0;
}
