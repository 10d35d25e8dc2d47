#include "compiler/spec/Diagnostics.h"

#include "compiler/spec/Text.h"

#include <algorithm>
#include <optional>
#include <ostream>
#include <tuple>

namespace lathe {

namespace {

constexpr size_t maxShown = 120;    ///< Bytes of a source line that are shown; more is cut ...
constexpr size_t shownBefore = 60;  ///< ... to this many before the caret.
constexpr size_t tabWidth = 4;

const char* name(Severity severity) {
  switch (severity) {
  case Severity::error:
    return "error";
  case Severity::warning:
    return "warning";
  case Severity::remark:
    return "remark";
  }
  return "";
}

/// Line `number` of the text, without its end; nothing where the text has no such line.
std::optional<std::string_view> lineOf(std::string_view text, int number) {
  if (number < 1)
    return std::nullopt;
  for (int line = 1; line < number; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos)
      return std::nullopt;
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r'))
    text.remove_suffix(1);
  return text;
}

bool continuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// A source line and the marks under it, as a terminal shows them: tabs widened, bytes that cannot
/// be shown as `?`, long lines cut around the span.
struct Excerpt {
  std::string line;
  std::string marks;
};

Excerpt excerpt(std::string_view line, Span span) {
  const size_t from = std::min<size_t>(std::max(span.column, 1) - 1, line.size());
  const size_t to = std::min(from + static_cast<size_t>(std::max(span.length, 1)), line.size());
  size_t begin = 0, end = line.size();
  if (line.size() > maxShown) {
    begin = from > shownBefore ? from - shownBefore : 0;
    while (begin < from && continuesCharacter(line[begin]))
      ++begin;
    end = std::min(begin + maxShown, line.size());
    while (end > begin + 1 && end < line.size() && continuesCharacter(line[end]))
      --end;
  }

  Excerpt result;
  result.line = begin > 0 ? "..." : "";
  size_t width = result.line.size(), caret = width, caretEnd = width;
  for (size_t at = begin; at < end;) {
    const std::string_view rest = line.substr(at, end - at);
    const int length = std::max(spec::utf8Length(rest), 1);
    if (rest[0] == '\t') {
      const size_t spaces = tabWidth - width % tabWidth;
      result.line.append(spaces, ' ');
      width += spaces;
    } else {
      const bool shown = spec::utf8Length(rest) && spec::isPrintable(spec::utf8Decode(rest));
      result.line += shown ? std::string(rest.substr(0, length)) : "?";
      ++width;
    }
    at += length;
    if (at <= from)
      caret = width;
    if (at <= to)
      caretEnd = width;
  }
  if (end < line.size())
    result.line += "...";
  result.marks.append(caret, ' ');
  result.marks += '^';
  if (caretEnd > caret + 1)
    result.marks.append(caretEnd - caret - 1, '~');
  return result;
}

std::string counted(int count, const char* what) {
  return std::to_string(count) + " more " + what + (count == 1 ? "" : "s");
}

}  // namespace

void Diagnostics::error(Span span, std::string message, std::string help) {
  add(Severity::error, span, std::move(message), std::move(help));
}

void Diagnostics::warning(Span span, std::string message, std::string help) {
  add(Severity::warning, span, std::move(message), std::move(help));
}

void Diagnostics::remark(Span span, std::string message, std::string help) {
  add(Severity::remark, span, std::move(message), std::move(help));
}

void Diagnostics::add(Severity severity, Span span, std::string message, std::string help) {
  if (++counts[static_cast<int>(severity)] <= maxKept)
    list.push_back({severity, span, std::move(message), std::move(help)});
}

void Diagnostics::print(std::ostream& out, std::string_view fileName, std::string_view text) const {
  std::vector<const Diagnostic*> ordered;
  for (const Diagnostic& diagnostic : list)
    ordered.push_back(&diagnostic);
  std::sort(ordered.begin(), ordered.end(), [](const Diagnostic* a, const Diagnostic* b) {
    return std::tie(a->span.line, a->span.column, a) < std::tie(b->span.line, b->span.column, b);
  });

  for (const Diagnostic* diagnostic : ordered) {
    const Span span = diagnostic->span;
    out << fileName << ':';
    if (span.line > 0)
      out << span.line << ':' << span.column << ':';
    out << ' ' << name(diagnostic->severity) << ": " << diagnostic->message << '\n';
    if (const auto line = lineOf(text, span.line)) {
      const Excerpt shown = excerpt(*line, span);
      std::string number = std::to_string(span.line);
      number.insert(0, number.size() < 4 ? 4 - number.size() : 0, ' ');
      out << number << " | " << shown.line << '\n';
      out << std::string(number.size(), ' ') << " | " << shown.marks << '\n';
    }
    if (!diagnostic->help.empty())
      out << "     help: " << diagnostic->help << '\n';
  }

  for (Severity severity : {Severity::error, Severity::warning, Severity::remark})
    if (count(severity) > maxKept)
      out << fileName << ": " << counted(count(severity) - maxKept, name(severity))
          << " not shown\n";
}

}  // namespace lathe
