// Text to tokens.
#pragma once

#include "compiler/spec/Diagnostics.h"

#include <string_view>
#include <vector>

namespace lathe::spec {

enum class TokenKind {
  name,
  keyword,  ///< variant, input, param, const, let, state, output, direction, in
  number,
  openParen,
  closeParen,
  openBracket,
  closeBracket,
  openBrace,
  closeBrace,
  comma,
  equals,
  arrow,  ///< <-
  plus,
  minus,
  star,
  slash,
  at,
  newline,
  end,
  invalid,  ///< What is wrong with it is reported already.
};

struct Token {
  TokenKind kind;
  Span span;
  std::string_view text;  ///< Points into the text that was lexed.
  double number = 0;
  bool startsLine = false;  ///< Nothing but blanks stands before it on its line.
};

bool isKeyword(std::string_view word);

/// The tokens of the text; the last one, and only that one, is `end`.
std::vector<Token> lex(std::string_view text, Diagnostics& diagnostics);

}  // namespace lathe::spec
