// What the compiler has to say about a spec: where, what was found, which rule it breaks, and what
// would be accepted.
#pragma once

#include <array>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// A stretch of one line of the spec. Lines and columns start at 1; columns count bytes.
struct Span {
  int line = 0;
  int column = 0;
  int length = 1;
};

enum class Severity { error, warning, remark };

struct Diagnostic {
  Severity severity = Severity::error;
  Span span;
  std::string message;  ///< What was found and the rule that it breaks, one sentence.
  std::string help;     ///< What would be accepted; empty where nothing can be said.
};

/// Collects the diagnostics of one spec, so that one run reports several mistakes.
class Diagnostics {
public:
  /// Diagnostics of one severity beyond this many are counted, not kept.
  static constexpr int maxKept = 50;

  void error(Span span, std::string message, std::string help = "");
  void warning(Span span, std::string message, std::string help = "");
  void remark(Span span, std::string message, std::string help = "");

  bool hasErrors() const { return count(Severity::error) > 0; }
  /// How many diagnostics of a severity there were, those not kept included.
  int count(Severity severity) const { return counts[static_cast<int>(severity)]; }
  /// Those that are kept, in the order in which they were found.
  const std::vector<Diagnostic>& all() const { return list; }

  /// Prints, ordered by place, "file:line:column: error: message", the line of the text, a caret
  /// under the span, and the help; last, how many diagnostics were not kept. A span without a line
  /// (line 0) prints as "file: error: message".
  void print(std::ostream& out, std::string_view fileName, std::string_view text) const;

private:
  void add(Severity severity, Span span, std::string message, std::string help);

  std::vector<Diagnostic> list;
  std::array<int, 3> counts = {};
};

}  // namespace lathe
