#include "compiler/spec/Cursor.h"

#include "compiler/spec/Text.h"

#include <algorithm>

namespace lathe::spec {

namespace {

bool cannotEndStatement(TokenKind kind) {
  switch (kind) {
  case TokenKind::comma:
  case TokenKind::equals:
  case TokenKind::arrow:
  case TokenKind::plus:
  case TokenKind::minus:
  case TokenKind::star:
  case TokenKind::slash:
  case TokenKind::at:
    return true;
  default:
    return false;
  }
}

}  // namespace

const Token& Cursor::peek() {
  if (depth > 0 || goesOn)
    skipNewlines();
  return tokens[index];
}

const Token& Cursor::peekSecond() {
  peek();
  return tokens[std::min(index + 1, tokens.size() - 1)];
}

Token Cursor::next() {
  const Token token = peek();
  if (token.kind == TokenKind::openParen || token.kind == TokenKind::openBracket)
    ++depth;
  if (token.kind == TokenKind::closeParen || token.kind == TokenKind::closeBracket)
    depth = std::max(depth - 1, 0);
  goesOn = cannotEndStatement(token.kind);
  if (token.kind != TokenKind::end)
    ++index;
  return token;
}

bool Cursor::accept(TokenKind kind) {
  if (!at(kind))
    return false;
  next();
  return true;
}

bool Cursor::expect(TokenKind kind, const std::string& what, const std::string& help) {
  if (accept(kind))
    return true;
  errorExpected(what, help);
  return false;
}

void Cursor::error(const std::string& message, const std::string& help) {
  if (peek().kind != TokenKind::invalid)
    diagnostics.error(peek().span, message, help);
}

void Cursor::errorExpected(const std::string& what, const std::string& help) {
  error("expected " + what + ", found " + describe(peek()), help);
}

bool Cursor::atStatement() {
  const Token& token = peek();
  if (!token.startsLine)
    return false;
  if (token.kind == TokenKind::keyword)
    return token.text != "in";
  return token.kind == TokenKind::name && peekSecond().kind == TokenKind::arrow;
}

std::vector<Token> Cursor::skipStatement() {
  std::vector<Token> names;
  while (!at(TokenKind::end) && !at(TokenKind::closeBrace) && !atStatement()) {
    const bool inBrackets = depth > 0;
    const Token token = next();
    if (token.kind == TokenKind::newline)
      break;
    if (token.kind == TokenKind::name && !inBrackets)
      names.push_back(token);
  }
  beginStatement();
  return names;
}

void Cursor::skipNewlines() {
  while (tokens[index].kind == TokenKind::newline)
    ++index;
}

std::string Cursor::describe(const Token& token) {
  switch (token.kind) {
  case TokenKind::newline:
    return "the end of the line";
  case TokenKind::end:
    return "the end of the file";
  case TokenKind::keyword:
    return "the keyword " + quote(token.text);
  default:
    return quote(token.text);
  }
}

}  // namespace lathe::spec
