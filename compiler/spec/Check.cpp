#include "compiler/spec/Check.h"

#include "compiler/spec/Directions.h"
#include "compiler/spec/Text.h"
#include "compiler/spec/Types.h"

#include <algorithm>
#include <map>

namespace lathe::spec {

namespace {

using Kind = Statement::Kind;

class VariantChecker {
public:
  VariantChecker(Variant& variant, Diagnostics& diagnostics)
      : variant(variant), diagnostics(diagnostics),
        errorsBefore(diagnostics.count(Severity::error)), scope(variant, diagnostics) {}

  void run() {
    for (Statement& statement : variant.statements)
      check(statement);
    if (!variant.broken)
      checkWhole();
    if (!variant.broken && diagnostics.count(Severity::error) == errorsBefore)
      warnUnused();
  }

private:
  void check(Statement& statement) {
    switch (statement.kind) {
    case Kind::input:
      return scope.declare(statement, Symbol::Kind::input, scope.declaredType(statement));
    case Kind::param:
      return scope.declare(statement, Symbol::Kind::param, scope.declaredType(statement));
    case Kind::constant:
      valueOf(statement, {.constant = true});
      return scope.declare(statement, Symbol::Kind::constant, Dims{});
    case Kind::let:
      return let(statement);
    case Kind::state:
      return state(statement);
    case Kind::update:
      return update(statement);
    case Kind::output:
      return output(statement);
    }
  }

  Type valueOf(Statement& statement, const Reader& reader = {}) {
    return statement.value ? typeOf(*statement.value, reader, scope, diagnostics) : std::nullopt;
  }

  void let(Statement& statement) {
    Type type = valueOf(statement);
    if (type)
      statement.dims = *type;
    scope.declare(statement, Symbol::Kind::let, std::move(type));
    Symbol* symbol = scope.find(statement.name);
    if (statement.value && symbol && symbol->kind == Symbol::Kind::let)
      symbol->sources = sourcesOf(*statement.value, scope);
  }

  void state(Statement& statement) {
    Type type = scope.declaredType(statement);
    if (!statement.broken && statement.dims.size() > 2) {
      type = std::nullopt;
      diagnostics.error(
          statement.span,
          "a state has at most two dimensions, but " + quote(statement.name) + " is " +
              describe(statement.dims),
          "write 'state S[K, V]' for a matrix, 'state z[K]' for a vector, 'state n' for a "
          "number");
    }
    if (variant.both)
      checkReverseOf(statement, scope, diagnostics);
    scope.declare(statement, Symbol::Kind::state, std::move(type));
    Symbol* symbol = scope.find(statement.name);
    if (symbol && symbol->kind == Symbol::Kind::state)
      (statement.reverse ? symbol->sources.reverse : symbol->sources.forward) = statement.name;
  }

  void update(Statement& statement) {
    Symbol* symbol = scope.resolve(statement.name, statement.span, true);
    const Type type = valueOf(statement, {.state = statement.name});
    if (!symbol)
      return;
    if (symbol->kind != Symbol::Kind::state) {
      diagnostics.error(
          statement.span,
          "only a state can be updated, but " + quote(statement.name) + " is " +
              describe(symbol->kind),
          "declare 'state S[K, V]' for what is carried from token to token; 'let' binds "
          "a value of one token");
      return;
    }
    symbol->updated = true;
    if (statement.value && variant.both)
      checkLinear(statement, scope, diagnostics);
    else if (statement.value)
      checkDirection(statement, *symbol, scope, diagnostics);
    fits(statement, type, symbol->type, "state");
  }

  void output(Statement& statement) {
    const Type type = valueOf(statement);
    const Type declared = scope.declaredType(statement);
    scope.declare(statement, Symbol::Kind::output, declared);
    fits(statement, type, declared, "output");
  }

  /// Whether a value of `type` broadcasts to the declared dimensions.
  void fits(const Statement& statement, const Type& type, const Type& declared, const char* what) {
    if (!type || !declared)
      return;
    Dims extra;
    for (const std::string& dim : *type)
      if (std::find(declared->begin(), declared->end(), dim) == declared->end())
        extra.push_back(dim);
    if (extra.empty())
      return;
    diagnostics.error(statement.value->span,
                      "the value has the dimensions " + describe(*type) + ", but " + what + " " +
                          quote(statement.name) + " is " + describe(*declared),
                      "contract " + describe(extra) + " with '@', or declare " +
                          quote(statement.name) + " with it");
  }

  bool has(Kind kind) const {
    return std::any_of(variant.statements.begin(), variant.statements.end(),
                       [&](const Statement& statement) { return statement.kind == kind; });
  }

  void checkWhole() {
    const std::string name = quote(variant.name);
    if (!has(Kind::state) && !has(Kind::update))
      diagnostics.error(
          variant.span, "variant " + name + " has no state, so it is no recurrence",
          "declare one, as in 'state S[K, V]', and update it, as in 'S <- S + k * v'");
    if (!has(Kind::output))
      diagnostics.error(variant.span, "variant " + name + " has no output, so it computes nothing",
                        "read the state, as in 'output o[V] = q @ S'");
    for (const Statement& statement : variant.statements) {
      const Symbol* symbol = scope.find(statement.name);
      if (statement.kind == Kind::state && symbol && symbol->kind == Symbol::Kind::state &&
          !symbol->updated)
        diagnostics.error(statement.span, "state " + quote(statement.name) + " is never updated",
                          "add '" + shorten(statement.name) +
                              " <- ...'; what stays the same for all tokens is a param");
    }
    for (size_t i = 0; i < variant.dims.size(); ++i) {
      const Symbol* symbol = scope.find(variant.dims[i]);
      if (symbol && symbol->kind == Symbol::Kind::dimension && !symbol->declared)
        diagnostics.error(variant.dimSpans[i],
                          "no input, param, state or output has the dimension " +
                              quote(variant.dims[i]) + ", so no tensor gives its size",
                          "use it in a declaration, or take it away");
    }
  }

  void warnUnused() {
    for (const Derivation& derivation : variant.derived)
      if (!scope.find(derivation.dim)->used)
        diagnostics.warning(derivation.span,
                            quote(derivation.dim) + " is a derived dimension that nothing has",
                            "take it away, or use it");
    for (const Statement& statement : variant.statements) {
      const Symbol* symbol = scope.find(statement.name);
      if (symbol->used || statement.kind == Kind::update || statement.kind == Kind::output)
        continue;
      if (statement.kind == Kind::state)
        diagnostics.warning(statement.span,
                            "state " + quote(statement.name) + " is read by nothing but itself",
                            "read it for an output, or take it away");
      else
        diagnostics.warning(statement.span,
                            quote(statement.name) + " is " + describe(symbol->kind) +
                                " that nothing reads",
                            "take it away, or use it");
    }
  }

  Variant& variant;
  Diagnostics& diagnostics;
  const int errorsBefore;
  Scope scope;
};

}  // namespace

void check(Spec& spec, Diagnostics& diagnostics) {
  std::map<std::string_view, Span> names;
  for (Variant& variant : spec.variants) {
    const auto [other, added] = names.try_emplace(variant.name, variant.span);
    if (!added && !variant.name.empty())
      diagnostics.error(variant.span,
                        "variant " + quote(variant.name) + " is declared already, at line " +
                            std::to_string(other->second.line),
                        "the variants of a file have distinct names");
    VariantChecker(variant, diagnostics).run();
  }
}

}  // namespace lathe::spec
