#include "compiler/spec/Lexer.h"

#include "compiler/spec/Text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace lathe::spec {

namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool startsName(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool isNamePart(char c) { return startsName(c) || isDigit(c); }

std::optional<TokenKind> symbol(char c) {
  switch (c) {
  case '(':
    return TokenKind::openParen;
  case ')':
    return TokenKind::closeParen;
  case '[':
    return TokenKind::openBracket;
  case ']':
    return TokenKind::closeBracket;
  case '{':
    return TokenKind::openBrace;
  case '}':
    return TokenKind::closeBrace;
  case ',':
    return TokenKind::comma;
  case '=':
    return TokenKind::equals;
  case '+':
    return TokenKind::plus;
  case '-':
    return TokenKind::minus;
  case '*':
    return TokenKind::star;
  case '/':
    return TokenKind::slash;
  case '@':
    return TokenKind::at;
  default:
    return std::nullopt;
  }
}

/// What to write instead of a character that the language does not have.
std::string insteadOf(char32_t character) {
  switch (character) {
  case '^':
    return "a square is 'x * x', any other power 'exp(p * log(x))'";
  case ';':
    return "a statement ends at the end of its line";
  case '<':
  case U'\u2190':
    return "a state is updated by '<-'";
  case '!':
  case '%':
  case '&':
  case '|':
  case '>':
  case '?':
    return "the operators are '+', '-', '*', '/' and '@'";
  case U'\u2212':
  case U'\u2013':
    return "write '-'";
  case U'\u00B7':
  case U'\u00D7':
  case U'\u2217':
  case U'\u2297':
    return "write '*', or '@' to contract a dimension";
  default:
    return character < 0x80 ? "" : "names are made of ASCII letters, digits and '_'";
  }
}

class Lexer {
public:
  Lexer(std::string_view text, Diagnostics& diagnostics) : text(text), diagnostics(diagnostics) {}

  std::vector<Token> run() {
    if (text.starts_with("\xEF\xBB\xBF"))  // A byte order mark says nothing in UTF-8.
      position = 3;
    while (position < text.size())
      step();
    add(TokenKind::end, 0);
    return std::move(tokens);
  }

private:
  char peek(size_t ahead = 0) const {
    return position + ahead < text.size() ? text[position + ahead] : '\0';
  }

  Span span(size_t length) const {
    return {line, static_cast<int>(position - lineStart) + 1,
            static_cast<int>(std::max<size_t>(length, 1))};
  }

  void add(TokenKind kind, size_t length, double number = 0) {
    tokens.push_back({kind, span(length), text.substr(position, length), number, atLineStart});
    atLineStart = false;
    position += length;
  }

  void reject(size_t length, const std::string& message, const std::string& help) {
    diagnostics.error(span(length), message, help);
    add(TokenKind::invalid, length);
  }

  void step() {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\r') {
      ++position;
    } else if (c == '\n') {
      add(TokenKind::newline, 1);
      ++line;
      lineStart = position;
      atLineStart = true;
    } else if (c == '#') {
      comment();
    } else if (startsName(c)) {
      const size_t length = lengthWhile(position, isNamePart);
      const bool keyword = isKeyword(text.substr(position, length));
      add(keyword ? TokenKind::keyword : TokenKind::name, length);
    } else if (isDigit(c) || (c == '.' && isDigit(peek(1)))) {
      number();
    } else if (c == '<' && peek(1) == '-') {
      add(TokenKind::arrow, 2);
    } else if (c == '/' && peek(1) == '/') {
      reject(std::min(text.find('\n', position), text.size()) - position,
             "'//' begins no comment and is no operator", "a comment begins with '#'");
    } else if (c == '*' && peek(1) == '*') {
      reject(2, "'**' is no operator", insteadOf('^'));
    } else if (const auto kind = symbol(c)) {
      add(*kind, 1);
    } else {
      unexpected();
    }
  }

  template <typename Predicate> size_t lengthWhile(size_t from, Predicate accepts) const {
    size_t at = from;
    while (at < text.size() && accepts(text[at]))
      ++at;
    return at - from;
  }

  /// The bytes from `from` on that belong to no UTF-8 text.
  size_t notText(size_t from) const {
    size_t at = from;
    while (at < text.size() && (text[at] == '\0' || utf8Length(text.substr(at)) == 0))
      ++at;
    return at - from;
  }

  void reportNotText(size_t length) {
    diagnostics.error(span(length),
                      peek() == '\0' ? "found a NUL byte" : "found bytes that are not UTF-8",
                      "a .lathe file is text in UTF-8");
  }

  void comment() {
    const size_t end = std::min(text.find('\n', position), text.size());
    for (; position < end; position += utf8Length(text.substr(position))) {
      if (const size_t length = notText(position)) {
        reportNotText(length);
        break;
      }
    }
    position = end;
  }

  void unexpected() {
    if (const size_t length = notText(position)) {
      reportNotText(length);
      return add(TokenKind::invalid, length);
    }
    const std::string_view rest = text.substr(position);
    const char32_t character = utf8Decode(rest);
    reject(utf8Length(rest), "unexpected character " + quote(rest.substr(0, utf8Length(rest))),
           insteadOf(character));
  }

  void number() {
    size_t length = lengthWhile(position, isDigit);
    if (peek(length) == '.')
      length += 1 + lengthWhile(position + length + 1, isDigit);
    if (peek(length) == 'e' || peek(length) == 'E') {
      const size_t sign = peek(length + 1) == '+' || peek(length + 1) == '-';
      if (isDigit(peek(length + 1 + sign)))
        length += 1 + sign + lengthWhile(position + length + 1 + sign, isDigit);
    }
    const std::string_view digits = text.substr(position, length);
    const size_t tail =
        lengthWhile(position + length, [](char c) { return isNamePart(c) || c == '.'; });
    if (tail > 0)
      return reject(length + tail, quote(text.substr(position, length + tail)) + " is not a number",
                    "numbers look like 2, 0.5 or 1e-6; multiply with '*'");

    double value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (result.ec == std::errc::result_out_of_range)
      return reject(length, "the number " + quote(digits) + " is out of range",
                    "numbers are fp64: 0, or from 4.9e-324 to 1.8e308");
    add(TokenKind::number, length, value);
  }

  std::string_view text;
  Diagnostics& diagnostics;
  std::vector<Token> tokens;
  size_t position = 0;
  size_t lineStart = 0;
  int line = 1;
  bool atLineStart = true;
};

}  // namespace

bool isKeyword(std::string_view word) {
  static constexpr std::array<std::string_view, 9> keywords = {
      "variant", "input", "param", "const", "let", "state", "output", "direction", "in"};
  return std::find(keywords.begin(), keywords.end(), word) != keywords.end();
}

std::vector<Token> lex(std::string_view text, Diagnostics& diagnostics) {
  return Lexer(text, diagnostics).run();
}

}  // namespace lathe::spec
