#include "compiler/spec/Directions.h"

#include "compiler/spec/Text.h"

namespace lathe::spec {

namespace {

const Sources& sourcesOfName(const Expr& name, Scope& scope) {
  static const Sources none;
  const Symbol* symbol = scope.find(name.name);
  return symbol ? symbol->sources : none;
}

/// Finds what is not linear in the states, and reports the first of it.
class LinearCheck {
public:
  LinearCheck(Scope& scope, Diagnostics& diagnostics) : scope(scope), diagnostics(diagnostics) {}

  /// Whether the expression depends on a state.
  bool run(const Expr& expr) {
    switch (expr.kind) {
    case Expr::Kind::number:
      return false;
    case Expr::Kind::name:
      return name(expr);
    case Expr::Kind::negate:
      return run(*expr.args[0]);
    case Expr::Kind::binary:
      return binary(expr);
    case Expr::Kind::call:
      return call(expr);
    }
    return false;
  }

private:
  void fail(Span span, const std::string& what, const std::string& help) {
    if (!failed)
      diagnostics.error(span, "in 'direction both' an update is linear in the states, but " + what,
                        help);
    failed = true;
  }

  bool name(const Expr& expr) {
    const std::string& state = sourcesOfName(expr, scope).forward;
    if (state.empty() || state == expr.name)
      return !state.empty();
    if (!failed)
      diagnostics.error(expr.span,
                        "in 'direction both' an update reads the states by their names, but " +
                            quote(expr.name) + " is computed from the state " + quote(state),
                        "write the value of " + quote(expr.name) + " in its place");
    failed = true;
    return true;
  }

  bool binary(const Expr& expr) {
    const bool left = run(*expr.args[0]), right = run(*expr.args[1]);
    if (expr.op == BinaryOp::divide && right)
      fail(expr.span, "'/' divides by a value that depends on one",
           "divide where the state is read, for an output");
    else if ((expr.op == BinaryOp::multiply || expr.op == BinaryOp::contract) && left && right)
      fail(expr.span,
           std::string("both sides of ") + (expr.op == BinaryOp::multiply ? "'*'" : "'@'") +
               " depend on them",
           "let one side be free of states");
    return left || right;
  }

  bool call(const Expr& expr) {
    bool depends = false;
    for (const auto& arg : expr.args)
      depends = run(*arg) || depends;
    if (depends && expr.name != "sum")
      fail(expr.span, quote(expr.name) + " is applied to one",
           "apply it where the state is read, for an output");
    return depends;
  }

  Scope& scope;
  Diagnostics& diagnostics;
  bool failed = false;
};

/// The first name in the expression that is computed from a state of the other direction; null
/// where there is none.
const Expr* readOfOther(const Expr& expr, bool reverse, Scope& scope) {
  if (expr.kind == Expr::Kind::name) {
    const Sources& sources = sourcesOfName(expr, scope);
    return (reverse ? sources.forward : sources.reverse).empty() ? nullptr : &expr;
  }
  for (const auto& arg : expr.args)
    if (const Expr* found = readOfOther(*arg, reverse, scope))
      return found;
  return nullptr;
}

}  // namespace

Sources sourcesOf(const Expr& expr, Scope& scope) {
  if (expr.kind == Expr::Kind::name)
    return sourcesOfName(expr, scope);
  Sources all;
  for (const auto& arg : expr.args) {
    const Sources sources = sourcesOf(*arg, scope);
    if (all.forward.empty())
      all.forward = sources.forward;
    if (all.reverse.empty())
      all.reverse = sources.reverse;
  }
  return all;
}

void checkDirection(const Statement& update, const Symbol& state, Scope& scope,
                    Diagnostics& diagnostics) {
  const bool reverse = !state.sources.reverse.empty();
  const Expr* read = readOfOther(*update.value, reverse, scope);
  if (!read)
    return;
  const Sources& sources = sourcesOfName(*read, scope);
  const std::string& other = reverse ? sources.forward : sources.reverse;
  const std::string through =
      other == read->name
          ? quote(other)
          : quote(read->name) + ", which is computed from the state " + quote(other) + ",";
  const std::string toFirst = "from the last token to the first", toLast = "from first to last";
  diagnostics.error(read->span,
                    "the state " + quote(update.name) + " goes " + (reverse ? toFirst : toLast) +
                        ", but its update reads " + through + (other == read->name ? ", " : " ") +
                        "which goes " + (reverse ? toLast : toFirst),
                    "an update reads states of its own direction; an output or a let reads both");
}

void checkReverseOf(const Statement& state, Scope& scope, Diagnostics& diagnostics) {
  if (state.reverse)
    diagnostics.error(state.span,
                      "the state " + quote(state.name) +
                          " is 'in reverse', but in 'direction both' every state goes both ways",
                      "take 'in reverse' away, or 'direction both'");
  const std::string reverse = reverseName(state.name);
  if (const Span* taken = scope.declarationOf(reverse))
    diagnostics.error(*taken,
                      quote(reverse) + " is what 'direction both' calls the reverse of the state " +
                          quote(state.name),
                      "choose another name");
}

void checkLinear(const Statement& update, Scope& scope, Diagnostics& diagnostics) {
  LinearCheck(scope, diagnostics).run(*update.value);
}

}  // namespace lathe::spec
