#include "tools/lathe/PrintSpec.h"

#include "tools/lathe/Number.h"

namespace lathe::tool {

using spec::BinaryOp;
using spec::Expr;
using spec::Statement;

namespace {

/// How tightly an expression binds, by the grammar of docs/language.md.
int precedenceOf(const Expr& expr) {
  if (expr.kind == Expr::Kind::negate)
    return 4;
  if (expr.kind != Expr::Kind::binary)
    return 5;
  switch (expr.op) {
  case BinaryOp::add:
  case BinaryOp::subtract:
    return 1;
  case BinaryOp::multiply:
  case BinaryOp::divide:
    return 2;
  case BinaryOp::contract:
    return 3;
  }
  return 5;
}

const char* signOf(BinaryOp op) {
  switch (op) {
  case BinaryOp::add:
    return " + ";
  case BinaryOp::subtract:
    return " - ";
  case BinaryOp::multiply:
    return " * ";
  case BinaryOp::divide:
    return " / ";
  case BinaryOp::contract:
    return " @ ";
  }
  return " ";
}

std::string print(const Expr& expr, int context) {
  const int precedence = precedenceOf(expr);
  std::string text;
  switch (expr.kind) {
  case Expr::Kind::number:
    text = numberText(expr.number);
    break;
  case Expr::Kind::name:
    text = expr.name;
    break;
  case Expr::Kind::negate:
    text = "-" + print(*expr.args[0], precedence);
    break;
  case Expr::Kind::binary: {
    // A contraction within a product keeps its brackets: the eye does not know that @ binds first.
    const bool isProduct = precedence == 2;
    text = print(*expr.args[0], isProduct && precedenceOf(*expr.args[0]) == 3 ? 4 : precedence) +
           signOf(expr.op) +
           print(*expr.args[1], isProduct && precedenceOf(*expr.args[1]) == 3 ? 4 : precedence + 1);
    break;
  }
  case Expr::Kind::call:
    for (const auto& argument : expr.args)
      text += (text.empty() ? "" : ", ") + print(*argument, 0);
    text = expr.name + "(" + text + ")";
    break;
  }
  return precedence < context ? "(" + text + ")" : text;
}

std::string declared(const std::string& name, const spec::Dims& dims) {
  std::string text;
  for (const std::string& dim : dims)
    text += (text.empty() ? "" : ", ") + dim;
  return dims.empty() ? name : name + "[" + text + "]";
}

/// The keyword, padded so that the names of a variant stand below each other.
const char* keywordOf(Statement::Kind kind) {
  switch (kind) {
  case Statement::Kind::input:
    return "input  ";
  case Statement::Kind::param:
    return "param  ";
  case Statement::Kind::constant:
    return "const  ";
  case Statement::Kind::let:
    return "let    ";
  case Statement::Kind::state:
    return "state  ";
  case Statement::Kind::update:
    return "";
  case Statement::Kind::output:
    return "output ";
  }
  return "";
}

std::string bodyOf(const Statement& statement) {
  std::string text = declared(statement.name, {});
  if (statement.kind != Statement::Kind::let)
    text = declared(statement.name, statement.dims);
  if (statement.kind == Statement::Kind::update)
    return statement.name + " <- " + print(*statement.value, 0);
  if (statement.log)
    text += " in log";
  if (statement.reverse)
    text += " in reverse";
  return statement.value ? text + " = " + print(*statement.value, 0) : text;
}

/// Blocks of a variant, between which a line is left empty.
int blockOf(Statement::Kind kind) {
  switch (kind) {
  case Statement::Kind::input:
  case Statement::Kind::param:
  case Statement::Kind::constant:
    return 0;
  case Statement::Kind::let:
    return 1;
  default:
    return 2;
  }
}

bool shareLine(const Statement& a, const Statement& b) {
  return a.kind == b.kind && !a.value && !b.value && a.log == b.log && a.reverse == b.reverse;
}

/// " = taylor2(K)" of a derived dimension.
std::string derivationOf(const spec::Variant& variant, const std::string& dim) {
  for (const spec::Derivation& derivation : variant.derived)
    if (derivation.dim == dim)
      return " = " + derivation.function + "(" + derivation.from + ")";
  return "";
}

}  // namespace

std::string printVariant(const spec::Variant& variant) {
  std::string text = "variant " + variant.name + "(";
  for (const std::string& dim : variant.dims)
    text += (&dim == variant.dims.data() ? "" : ", ") + dim + derivationOf(variant, dim);
  text += ") {\n";
  if (variant.direction.line > 0)
    text += variant.both ? "  direction both\n" : "  direction forward\n";
  const Statement* before = nullptr;
  for (const Statement& statement : variant.statements) {
    if (before && shareLine(*before, statement)) {
      text.insert(text.size() - 1, ", " + bodyOf(statement));
    } else {
      if (before && blockOf(before->kind) != blockOf(statement.kind))
        text += "\n";
      text += std::string("  ") + keywordOf(statement.kind) + bodyOf(statement) + "\n";
    }
    before = &statement;
  }
  return text + "}\n";
}

std::string printSpec(const spec::Spec& spec) {
  std::string text;
  for (const spec::Variant& variant : spec.variants)
    text += (text.empty() ? "" : "\n") + printVariant(variant);
  return text;
}

}  // namespace lathe::tool
