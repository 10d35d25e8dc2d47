#include "compiler/spec/Statements.h"

#include "compiler/spec/Dimensions.h"
#include "compiler/spec/Expressions.h"
#include "compiler/spec/Names.h"
#include "compiler/spec/Text.h"

#include <algorithm>
#include <optional>

namespace lathe::spec {

namespace {

using Kind = Statement::Kind;

bool declaresList(Kind kind) {
  return kind == Kind::input || kind == Kind::param || kind == Kind::state;
}

const char* const beginnings =
    "a statement begins with input, param, const, let, state, output, direction or 'NAME <-'";

Kind kindOf(std::string_view keyword) {
  if (keyword == "input")
    return Kind::input;
  if (keyword == "param")
    return Kind::param;
  if (keyword == "const")
    return Kind::constant;
  if (keyword == "let")
    return Kind::let;
  if (keyword == "state")
    return Kind::state;
  return Kind::output;
}

/// How one writes a declaration, for messages.
std::string usage(Kind kind) {
  switch (kind) {
  case Kind::input:
    return "input NAME[K], NAME in log";
  case Kind::param:
    return "param NAME, NAME[K] in log";
  case Kind::constant:
    return "const NAME = 1 / sqrt(K)";
  case Kind::let:
    return "let NAME = l2norm(k)";
  case Kind::state:
    return "state NAME[K, V], NAME[K] in reverse";
  case Kind::update:
    return "NAME <- NAME + k * v";
  case Kind::output:
    return "output NAME[V] = q @ S";
  }
  return "";
}

class VariantParser {
public:
  VariantParser(Cursor& cursor, Variant& variant) : cursor(cursor), variant(variant) {}

  /// From after the keyword `variant` on. False where the header is malformed.
  bool run() {
    cursor.beginStatement();
    if (!cursor.at(TokenKind::name)) {
      cursor.errorExpected("the name of the variant", "write 'variant NAME(K, V) {'");
      return false;
    }
    const Token name = cursor.next();
    variant.name = name.text;
    variant.span = name.span;
    if (!cursor.expect(TokenKind::openParen, "'(' and the dimensions of the variant",
                       "write 'variant " + shorten(variant.name) + "(K, V) {'") ||
        !parseDimensions(cursor, TokenKind::closeParen, variant.dims, variant.dimSpans,
                         &variant.derived))
      return false;
    cursor.skipNewlines();
    if (!cursor.at(TokenKind::openBrace)) {
      cursor.errorExpected("'{' and the statements of the variant",
                           "write 'variant " + shorten(variant.name) + "(K, V) {'");
      return false;
    }
    body(cursor.next());
    return true;
  }

private:
  void body(const Token& brace) {
    while (true) {
      cursor.beginStatement();
      cursor.skipNewlines();
      if (cursor.accept(TokenKind::closeBrace))
        return;
      if (cursor.at(TokenKind::end) || cursor.atKeyword("variant")) {
        cursor.errorExpected("a statement or '}'", "the '{' at " + std::to_string(brace.span.line) +
                                                       ":" + std::to_string(brace.span.column) +
                                                       " is still open");
        return;
      }
      if (!statement() || !endOfStatement())
        recover();
    }
  }

  /// Marks what stands since the statement's start as broken; names that it might have declared
  /// count as declared, so that one mistake is reported once.
  void recover() {
    for (size_t i = first; i < variant.statements.size(); ++i)
      variant.statements[i].broken = true;
    for (const Token& name : cursor.skipStatement()) {
      if (declaring) {
        declare(*declaring, name);
        variant.statements.back().broken = true;
      }
    }
    variant.broken = true;
  }

  Statement& declare(Kind kind, const Token& name) {
    Statement& statement = variant.statements.emplace_back();
    statement.kind = kind;
    statement.name = name.text;
    statement.span = name.span;
    return statement;
  }

  bool statement() {
    first = variant.statements.size();
    declaring.reset();
    if (cursor.at(TokenKind::keyword) && !cursor.atKeyword("in")) {
      const Token keyword = cursor.next();
      if (keyword.text == "direction")
        return direction(keyword);
      const Kind kind = kindOf(keyword.text);
      return declaresList(kind) ? declarations(kind, keyword) : definition(kind, keyword);
    }
    if (cursor.at(TokenKind::name))
      return update();
    const bool goesOn = cursor.at(TokenKind::plus) || cursor.at(TokenKind::minus) ||
                        cursor.at(TokenKind::star) || cursor.at(TokenKind::slash) ||
                        cursor.at(TokenKind::at);
    cursor.errorExpected("a statement",
                         goesOn ? "to go on on a new line, end the line before with the operator"
                                : beginnings);
    if (!cursor.at(TokenKind::end))
      cursor.next();
    return false;
  }

  bool name(const Token& keyword, const std::string& article) {
    if (cursor.at(TokenKind::name))
      return true;
    cursor.errorExpected("the name of " + article + " " + std::string(keyword.text),
                         cursor.at(TokenKind::keyword)
                             ? quote(cursor.peek().text) +
                                   " is a reserved word: choose another name"
                             : "write '" + usage(kindOf(keyword.text)) + "'");
    return false;
  }

  bool declarations(Kind kind, const Token& keyword) {
    declaring = kind;
    do {
      if (!name(keyword, kind == Kind::input ? "an" : "a"))
        return false;
      Statement& statement = declare(kind, cursor.next());
      if (cursor.accept(TokenKind::openBracket) &&
          !parseDimensions(cursor, TokenKind::closeBracket, statement.dims, statement.dimSpans))
        return false;
      if (cursor.atKeyword("in") && !qualifier(statement))
        return false;
    } while (cursor.accept(TokenKind::comma));
    return true;
  }

  /// `in log` of an input or a param, `in reverse` of a state.
  bool qualifier(Statement& statement) {
    cursor.next();
    const bool isState = statement.kind == Kind::state;
    const std::string_view word = isState ? "reverse" : "log";
    const bool isName = cursor.at(TokenKind::name);
    if (isName && cursor.peek().text == word) {
      cursor.next();
      (isState ? statement.reverse : statement.log) = true;
      return true;
    }
    const std::string name = shorten(statement.name);
    std::string help = isState ? "write '" + name +
                                     " in reverse' where its updates run from the "
                                     "last token to the first"
                               : "write '" + name + " in log' for the natural logarithm of a decay";
    if (isName && isState && cursor.peek().text == "log")
      help = "only an input or a param can be 'in log'; a state can be 'in reverse'";
    else if (isName && !isState && cursor.peek().text == "reverse")
      help = "only a state can be 'in reverse'; an input or a param can be 'in log'";
    cursor.errorExpected(quote(word) + " after 'in'", help);
    return false;
  }

  bool direction(const Token& keyword) {
    const std::string_view word = cursor.at(TokenKind::name) ? cursor.peek().text : "";
    if (word != "both" && word != "forward") {
      const auto close = closestName(word, {"both", "forward"});
      cursor.errorExpected("'both' or 'forward' after 'direction'",
                           close ? "did you mean " + quote(*close) + "?"
                           : word == "reverse"
                               ? "a state goes the other way where it is declared so, as in 'state "
                                 "S[K, V] in reverse'"
                               : "write 'direction both' where every token sees all; 'direction "
                                 "forward' is meant without it");
      return false;
    }
    const Token token = cursor.next();
    if (!cursor.at(TokenKind::newline) && !cursor.at(TokenKind::closeBrace) &&
        !cursor.at(TokenKind::end)) {
      cursor.errorExpected("the end of the statement", "a statement ends at the end of its line");
      return false;
    }
    if (variant.direction.line > 0) {
      cursor.diagnostics.error(keyword.span,
                               "the direction is given already, at line " +
                                   std::to_string(variant.direction.line),
                               "a variant has one direction: take one of the lines away");
      return true;
    }
    variant.both = word == "both";
    variant.direction = token.span;
    const auto update = std::find_if(variant.statements.begin(), variant.statements.end(),
                                     [](const auto& other) { return other.kind == Kind::update; });
    if (update != variant.statements.end())
      cursor.diagnostics.error(keyword.span,
                               "the direction stands below an update, at line " +
                                   std::to_string(update->span.line),
                               "it holds for all updates: move it up, to the top of the variant");
    return true;
  }

  bool definition(Kind kind, const Token& keyword) {
    if (!name(keyword, kind == Kind::output ? "an" : "a"))
      return false;
    const Token target = cursor.next();
    Statement& statement = declare(kind, target);
    if (cursor.at(TokenKind::openBracket)) {
      if (kind != Kind::output) {
        cursor.error(kind == Kind::let ? "the dimensions of a let are those of its value"
                                       : "a const is a scalar and has no dimensions",
                     "write '" + std::string(keyword.text) + " " + shorten(statement.name) +
                         " = ...'");
        return false;
      }
      cursor.next();
      if (!parseDimensions(cursor, TokenKind::closeBracket, statement.dims, statement.dimSpans))
        return false;
    }
    if (!cursor.expect(TokenKind::equals, "'=' and the value of " + quote(target.text),
                       "write '" + usage(kind) + "'"))
      return false;
    statement.value = parseExpression(cursor);
    return statement.value != nullptr;
  }

  bool update() {
    const Token target = cursor.next();
    if (cursor.accept(TokenKind::arrow)) {
      Statement& statement = declare(Kind::update, target);
      statement.value = parseExpression(cursor);
      return statement.value != nullptr;
    }
    std::string help = beginnings;
    if (cursor.at(TokenKind::equals))
      help = "write 'let " + shorten(target.text) + " = ...' for a new value, '" +
             shorten(target.text) + " <- ...' to update a state";
    else if (cursor.at(TokenKind::openBracket))
      help = "an update writes the whole state: '" + shorten(target.text) + " <- ...'";
    else if (const auto keyword =
                 closestName(target.text, {"input", "param", "const", "let", "state", "output",
                                           "direction", "variant"})) {
      help = "did you mean " + quote(*keyword) + "?";
      if (*keyword != "variant" && *keyword != "direction")
        declaring = kindOf(*keyword);
    }
    if (cursor.peek().kind != TokenKind::invalid)
      cursor.diagnostics.error(target.span,
                               "expected a statement, found " + Cursor::describe(target), help);
    return false;
  }

  bool endOfStatement() {
    if (cursor.at(TokenKind::newline) || cursor.at(TokenKind::closeBrace) ||
        cursor.at(TokenKind::end))
      return true;
    const Statement& last = variant.statements.back();
    std::string help = "a statement ends at the end of its line";
    if (cursor.atKeyword("in"))
      help = "only an input or a param can be 'in log', only a state 'in reverse'";
    else if (cursor.at(TokenKind::keyword))
      help = "a statement begins on its own line";
    else if (cursor.at(TokenKind::openBracket) && last.value)
      help = "a value is read by its name alone; it has the dimensions of its declaration";
    else if (cursor.at(TokenKind::closeParen) || cursor.at(TokenKind::closeBracket))
      help = "no bracket is open here";
    else if (last.value && (cursor.at(TokenKind::name) || cursor.at(TokenKind::number) ||
                            cursor.at(TokenKind::openParen)))
      help = "write '*' to multiply";
    else if (cursor.at(TokenKind::equals) && declaresList(last.kind))
      help = "only const, let and output have a value here; a state starts from the initial state "
             "of the call";
    else if (!last.value && cursor.at(TokenKind::name))
      help = "write ',' between the names";
    const std::string what =
        last.value ? "an operator or the end of the statement" : "',' or the end of the statement";
    cursor.errorExpected(what, help);
    return false;
  }

  Cursor& cursor;
  Variant& variant;
  size_t first = 0;               ///< The first declaration of the statement at hand.
  std::optional<Kind> declaring;  ///< What the names in the statement at hand are declared as.
};

}  // namespace

Spec parseSpec(Cursor& cursor) {
  Spec spec;
  while (true) {
    cursor.beginStatement();
    cursor.skipNewlines();
    if (cursor.at(TokenKind::end))
      break;
    if (cursor.atKeyword("variant")) {
      cursor.next();
      if (VariantParser(cursor, spec.variants.emplace_back()).run())
        continue;
      spec.variants.back().broken = true;
    } else {
      cursor.errorExpected("'variant'",
                           "a file is a list of variants: 'variant NAME(K, V) { ... }'");
      cursor.next();
    }
    while (!cursor.at(TokenKind::end) &&
           !(cursor.peek().startsLine && cursor.atKeyword("variant"))) {
      cursor.next();
    }
  }
  return spec;
}

}  // namespace lathe::spec
