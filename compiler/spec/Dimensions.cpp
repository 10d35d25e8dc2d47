#include "compiler/spec/Dimensions.h"

#include "compiler/spec/Text.h"

namespace lathe::spec {

namespace {

class DimensionParser {
public:
  explicit DimensionParser(Cursor& cursor) : cursor(cursor) {}

  bool list(TokenKind close, Dims& dims, std::vector<Span>& spans,
            std::vector<Derivation>* derived) {
    const std::string closing = close == TokenKind::closeParen ? "')'" : "']'";
    do {
      if (!cursor.at(TokenKind::name)) {
        cursor.errorExpected("the name of a dimension", helpForName(close));
        return skipTo(close);
      }
      const Token dim = cursor.next();
      dims.emplace_back(dim.text);
      spans.push_back(dim.span);
      if (derived && cursor.accept(TokenKind::equals) && !derivation(dim, *derived))
        return skipTo(close);
    } while (cursor.accept(TokenKind::comma));
    return cursor.expect(close, "',' or " + closing,
                         "dimensions are written as in (K, V) or [K, V]") ||
           skipTo(close);
  }

private:
  std::string helpForName(TokenKind close) {
    if (cursor.at(TokenKind::number))
      return "dimensions have names, as in [K]; their sizes come with the tensors of the call";
    if (!cursor.at(close))
      return "";
    return close == TokenKind::closeParen ? "a variant has at least one dimension, as in (K, V)"
                                          : "a scalar is written without brackets";
  }

  /// taylor2(K), after `F =`.
  bool derivation(const Token& dim, std::vector<Derivation>& derived) {
    const std::string help =
        "a derived dimension is written '" + shorten(dim.text) + " = taylor2(K)'";
    Derivation added{std::string(dim.text), "", "", dim.span, {}, {}};
    if (!name("the function that its size follows by", help, added.function, added.functionSpan) ||
        !cursor.expect(TokenKind::openParen, "'(' and a dimension", help) ||
        !name("the name of a dimension", help, added.from, added.fromSpan) ||
        !cursor.expect(TokenKind::closeParen, "')'", help))
      return false;
    derived.push_back(std::move(added));
    return true;
  }

  bool name(const std::string& what, const std::string& help, std::string& text, Span& span) {
    if (!cursor.at(TokenKind::name)) {
      cursor.errorExpected(what, cursor.at(TokenKind::number)
                                     ? "sizes come with the tensors of the call; " + help
                                     : help);
      return false;
    }
    const Token token = cursor.next();
    text = token.text;
    span = token.span;
    return true;
  }

  /// Takes the rest of a malformed list where it ends on this line. Always false.
  bool skipTo(TokenKind close) {
    const int line = cursor.peek().span.line;
    while (!cursor.at(TokenKind::end) && cursor.peek().span.line == line) {
      if (cursor.next().kind == close) {
        cursor.beginStatement();
        break;
      }
    }
    return false;
  }

  Cursor& cursor;
};

}  // namespace

bool parseDimensions(Cursor& cursor, TokenKind close, Dims& dims, std::vector<Span>& spans,
                     std::vector<Derivation>* derived) {
  return DimensionParser(cursor).list(close, dims, spans, derived);
}

}  // namespace lathe::spec
