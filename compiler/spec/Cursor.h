// A walk over the tokens that knows where a statement ends.
#pragma once

#include "compiler/spec/Lexer.h"

#include <string>
#include <vector>

namespace lathe::spec {

/// A statement ends at the end of its line, unless a bracket is open or the line ends in an
/// operator, a comma, `=` or `<-`: there the cursor does not show the newline.
class Cursor {
public:
  Cursor(std::vector<Token> tokens, Diagnostics& diagnostics)
      : diagnostics(diagnostics), tokens(std::move(tokens)) {}

  const Token& peek();
  const Token& peekSecond();  ///< The token after peek(), newlines included.
  Token next();

  bool at(TokenKind kind) { return peek().kind == kind; }
  bool atKeyword(std::string_view word) { return at(TokenKind::keyword) && peek().text == word; }
  /// Takes the next token where it is of this kind.
  bool accept(TokenKind kind);
  /// Takes the next token where it is of this kind, else reports "expected `what`, found ...".
  bool expect(TokenKind kind, const std::string& what, const std::string& help = "");

  /// Reports a mistake at the next token; silent where the lexer reported that token already.
  void error(const std::string& message, const std::string& help = "");
  void errorExpected(const std::string& what, const std::string& help = "");

  /// Whether a statement may begin at the next token: first on its line, and a keyword or an
  /// update's `S <-`.
  bool atStatement();
  /// Skips to where the next statement can begin, or to `}` or the end. Returns the names that were
  /// skipped outside of brackets.
  std::vector<Token> skipStatement();
  /// Takes newlines.
  void skipNewlines();
  /// The bracket that was opened at the last statement is forgotten: call where a statement begins.
  void beginStatement() { depth = 0, goesOn = false; }

  /// How a message names the token.
  static std::string describe(const Token& token);

  Diagnostics& diagnostics;

private:
  std::vector<Token> tokens;
  size_t index = 0;
  int depth = 0;        ///< Open `(` and `[`.
  bool goesOn = false;  ///< The last token taken cannot end a statement.
};

}  // namespace lathe::spec
