#include "compiler/spec/Expressions.h"

#include "compiler/spec/Text.h"

#include <algorithm>
#include <optional>

namespace lathe::spec {

namespace {

/// How strongly the operators bind: * and / before + and -, @ before both, unary minus before all.
struct Operator {
  BinaryOp op;
  int precedence;
};

std::optional<Operator> binaryOperator(TokenKind kind) {
  switch (kind) {
  case TokenKind::plus:
    return Operator{BinaryOp::add, 1};
  case TokenKind::minus:
    return Operator{BinaryOp::subtract, 1};
  case TokenKind::star:
    return Operator{BinaryOp::multiply, 2};
  case TokenKind::slash:
    return Operator{BinaryOp::divide, 2};
  case TokenKind::at:
    return Operator{BinaryOp::contract, 3};
  default:
    return std::nullopt;
  }
}

/// An expression and how many operations deep it is.
struct Tree {
  std::unique_ptr<Expr> expr;
  int depth = 0;
  explicit operator bool() const { return expr != nullptr; }
};

class ExpressionParser {
public:
  explicit ExpressionParser(Cursor& cursor) : cursor(cursor) {}

  /// Operands joined by operators that bind at least as strongly as `precedence`.
  Tree binary(int precedence) {
    Tree left = unary();
    while (left) {
      const auto found = binaryOperator(cursor.peek().kind);
      if (!found || found->precedence < precedence)
        break;
      const Token token = cursor.next();
      Tree right = binary(found->precedence + 1);
      if (!right)
        return {};
      std::vector<Tree> args;
      args.push_back(std::move(left));
      args.push_back(std::move(right));
      left = node(Expr::Kind::binary, token, std::move(args));
      if (left)
        left.expr->op = found->op;
    }
    return left;
  }

private:
  Tree node(Expr::Kind kind, const Token& token, std::vector<Tree> args = {}) {
    Tree tree;
    tree.expr = std::make_unique<Expr>();
    tree.expr->kind = kind;
    tree.expr->span = token.span;
    tree.expr->number = token.number;
    if (kind == Expr::Kind::name || kind == Expr::Kind::call)
      tree.expr->name = token.text;
    for (Tree& arg : args) {
      tree.depth = std::max(tree.depth, arg.depth + 1);
      tree.expr->args.push_back(std::move(arg.expr));
    }
    if (tree.depth <= maxExpressionDepth)
      return tree;
    tooDeep(token.span);
    return {};
  }

  void tooDeep(Span span) {
    cursor.diagnostics.error(span,
                             "the expression is more than " + std::to_string(maxExpressionDepth) +
                                 " operations or brackets deep",
                             "give a part of it a name with 'let'");
  }

  Tree unary() {
    if (open > maxExpressionDepth) {
      tooDeep(cursor.peek().span);
      return {};
    }
    ++open;
    Tree tree = cursor.at(TokenKind::minus) ? negation() : primary();
    --open;
    return tree;
  }

  Tree negation() {
    const Token token = cursor.next();
    std::vector<Tree> args(1);
    args[0] = unary();
    return args[0] ? node(Expr::Kind::negate, token, std::move(args)) : Tree{};
  }

  Tree primary() {
    if (cursor.at(TokenKind::number))
      return node(Expr::Kind::number, cursor.next());
    if (cursor.at(TokenKind::name)) {
      const Token name = cursor.next();
      return cursor.at(TokenKind::openParen) ? call(name) : node(Expr::Kind::name, name);
    }
    if (cursor.at(TokenKind::openParen)) {
      const Token bracket = cursor.next();
      Tree inner = binary(1);
      return inner && close(bracket) ? std::move(inner) : Tree{};
    }
    cursor.errorExpected("a value", helpForValue());
    return {};
  }

  std::string helpForValue() {
    const Token& token = cursor.peek();
    if (token.kind == TokenKind::plus)
      return "there is no unary '+'";
    if (token.startsLine)
      return "the line before ends in an operator, so the statement goes on here";
    if (token.kind == TokenKind::keyword)
      return quote(token.text) + " is a reserved word and names no value";
    return "a value is a name, a number, a function call or an expression in brackets";
  }

  Tree call(const Token& name) {
    const Token bracket = cursor.next();
    std::vector<Tree> args;
    if (!cursor.at(TokenKind::closeParen)) {
      do {
        args.push_back(binary(1));
        if (!args.back())
          return {};
      } while (cursor.accept(TokenKind::comma));
    }
    return close(bracket) ? node(Expr::Kind::call, name, std::move(args)) : Tree{};
  }

  bool close(const Token& bracket) {
    return cursor.expect(TokenKind::closeParen, "')' or an operator",
                         "the '(' at " + std::to_string(bracket.span.line) + ":" +
                             std::to_string(bracket.span.column) + " is still open");
  }

  Cursor& cursor;
  int open = 0;  ///< Calls of unary() under way.
};

}  // namespace

std::unique_ptr<Expr> parseExpression(Cursor& cursor) {
  return std::move(ExpressionParser(cursor).binary(1).expr);
}

}  // namespace lathe::spec
