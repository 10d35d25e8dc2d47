#include "compiler/spec/Types.h"

#include "compiler/spec/Functions.h"
#include "compiler/spec/Names.h"
#include "compiler/spec/Text.h"

#include <algorithm>

namespace lathe::spec {

namespace {

bool contains(const Dims& dims, const std::string& dim) {
  return std::find(dims.begin(), dims.end(), dim) != dims.end();
}

class Typing {
public:
  Typing(const Reader& reader, Scope& scope, Diagnostics& diagnostics)
      : reader(reader), scope(scope), diagnostics(diagnostics) {}

  Type run(Expr& expr) {
    Type type = dispatch(expr);
    if (type)
      expr.dims = *type;
    return type;
  }

private:
  Type dispatch(Expr& expr) {
    switch (expr.kind) {
    case Expr::Kind::number:
      return Dims{};
    case Expr::Kind::name:
      return name(expr);
    case Expr::Kind::negate:
      return run(*expr.args[0]);
    case Expr::Kind::binary:
      return expr.op == BinaryOp::contract ? contract(expr) : broadcast(expr);
    case Expr::Kind::call:
      return call(expr);
    }
    return std::nullopt;
  }

  Type name(Expr& expr) {
    Symbol* symbol = scope.resolve(expr.name, expr.span);
    if (!symbol)
      return std::nullopt;
    if (expr.name != reader.state)
      symbol->used = true;
    if (symbol->kind == Symbol::Kind::output) {
      diagnostics.error(expr.span, quote(expr.name) + " is an output, and an output cannot be read",
                        "bind the value with 'let' first, and read that in both places");
      return std::nullopt;
    }
    if (reader.constant && symbol->kind != Symbol::Kind::constant &&
        symbol->kind != Symbol::Kind::dimension) {
      diagnostics.error(expr.span,
                        "a const is made of numbers, dimensions and earlier consts, but " +
                            quote(expr.name) + " is " + describe(symbol->kind),
                        "bind what differs from token to token or from head to head with 'let'");
      return std::nullopt;
    }
    return symbol->type;
  }

  /// Every argument's dimensions together.
  Type broadcast(Expr& expr) {
    Dims all;
    bool known = true;
    for (auto& arg : expr.args) {
      const Type type = run(*arg);
      known = known && type;
      if (type)
        all.insert(all.end(), type->begin(), type->end());
    }
    return known ? Type(scope.ordered(all)) : std::nullopt;
  }

  Type contract(Expr& expr) {
    const Type left = run(*expr.args[0]);
    const Type right = run(*expr.args[1]);
    if (!left || !right)
      return std::nullopt;
    Dims shared, kept;
    for (const std::string& dim : *left)
      (contains(*right, dim) ? shared : kept).push_back(dim);
    for (const std::string& dim : *right)
      if (!contains(*left, dim))
        kept.push_back(dim);
    if (shared.size() == 1) {
      expr.contracted = shared[0];
      return scope.ordered(kept);
    }
    const std::string rule = "'@' contracts the one dimension that its sides share, but ";
    if (left->empty() || right->empty())
      diagnostics.error(expr.span,
                        rule + "its " + (left->empty() ? "left" : "right") + " side is a scalar",
                        "write '*' to multiply by a scalar");
    else if (shared.empty())
      diagnostics.error(
          expr.span, rule + describe(*left) + " and " + describe(*right) + " share none",
          "write '*' for the outer product, which is " + describe(scope.ordered(kept)));
    else
      diagnostics.error(
          expr.span,
          rule + describe(*left) + " and " + describe(*right) + " share " +
              std::to_string(shared.size()) + ": " + describe(shared),
          "write '*' to multiply element by element, or let one side have only one of "
          "them, as in 'x @ y' with x" +
              describe(Dims{shared[0]}) + " and y" + describe(*right));
    return std::nullopt;
  }

  Type call(Expr& expr) {
    const Function* function = findFunction(expr.name);
    if (!function) {
      unknownFunction(expr);
      broadcast(expr);
      return std::nullopt;
    }
    Type all = broadcast(expr);
    if (static_cast<int>(expr.args.size()) != function->arity) {
      diagnostics.error(expr.span,
                        quote(expr.name) + " takes " + std::to_string(function->arity) +
                            (function->arity == 1 ? " argument" : " arguments") + ", found " +
                            std::to_string(expr.args.size()),
                        "write " + quote(function->usage));
      return std::nullopt;
    }
    if (!all || function->typing == Function::Typing::elementwise)
      return all;
    if (all->size() != 1) {
      diagnostics.error(
          expr.span,
          quote(expr.name) + " runs over the one dimension of its argument, but this is " +
              (all->empty() ? "a scalar" : describe(*all)),
          all->empty() ? "give it a value with a dimension, such as a q[K]"
                       : "apply it to a value of one dimension, or contract the others "
                         "with '@' first");
      return std::nullopt;
    }
    if (function->typing == Function::Typing::derivation)
      return scope.derivedType(expr.name, (*all)[0], expr.span);
    return function->typing == Function::Typing::reduction ? Dims{} : *all;
  }

  void unknownFunction(const Expr& expr) {
    if (const Symbol* symbol = scope.find(expr.name)) {
      diagnostics.error(expr.span,
                        quote(expr.name) + " is " + describe(symbol->kind) + " and no function",
                        "write '*' to multiply");
      return;
    }
    std::vector<std::string_view> names;
    std::string list;
    for (const Function& function : functions()) {
      names.push_back(function.name);
      list += (list.empty() ? "" : " ") + std::string(function.name);
    }
    const auto close = closestName(expr.name, names);
    diagnostics.error(expr.span, "unknown function " + quote(expr.name),
                      close ? "did you mean " + quote(*close) + "?" : "the functions are: " + list);
  }

  const Reader& reader;
  Scope& scope;
  Diagnostics& diagnostics;
};

}  // namespace

Type typeOf(Expr& expr, const Reader& reader, Scope& scope, Diagnostics& diagnostics) {
  return Typing(reader, scope, diagnostics).run(expr);
}

}  // namespace lathe::spec
