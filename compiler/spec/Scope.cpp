#include "compiler/spec/Scope.h"

#include "compiler/spec/Functions.h"
#include "compiler/spec/Names.h"
#include "compiler/spec/Text.h"

#include <algorithm>

namespace lathe::spec {

namespace {

constexpr size_t maxDimensions = 16;

std::string declareState(std::string_view name) {
  return "declare it before, as in 'state " + shorten(name) + "[K, V]'";
}

std::string atLine(Span span) { return "at line " + std::to_string(span.line); }

}  // namespace

const char* describe(Symbol::Kind kind) {
  switch (kind) {
  case Symbol::Kind::dimension:
    return "a dimension";
  case Symbol::Kind::position:
    return "the position of the token";
  case Symbol::Kind::input:
    return "an input";
  case Symbol::Kind::param:
    return "a param";
  case Symbol::Kind::constant:
    return "a const";
  case Symbol::Kind::let:
    return "a let";
  case Symbol::Kind::state:
    return "a state";
  case Symbol::Kind::output:
    return "an output";
  }
  return "";
}

std::string describe(const Dims& dims) {
  if (dims.empty())
    return "a scalar";
  std::string text = "[";
  for (size_t i = 0; i < std::min(dims.size(), maxDimensions); ++i) {
    text += (i > 0 ? ", " : "") + shorten(dims[i]);
  }
  return text + (dims.size() > maxDimensions ? ", ...]" : "]");
}

Scope::Scope(const Variant& variant, Diagnostics& diagnostics)
    : variant(variant), diagnostics(diagnostics) {
  symbols["position"] = {.kind = Symbol::Kind::position, .span = {}, .type = Dims{}};
  for (size_t i = 0; i < variant.dims.size(); ++i) {
    const std::string& dim = variant.dims[i];
    const Span span = variant.dimSpans[i];
    const bool reserved = dim == "token" || dim == "source";
    if (reserved)
      diagnostics.error(span, quote(dim) + " is reserved and cannot name a dimension",
                        "choose another name");
    else if (i == maxDimensions)
      diagnostics.error(span,
                        "a variant has at most " + std::to_string(maxDimensions) +
                            " dimensions, found " + std::to_string(variant.dims.size()),
                        "split the variant, or take away the dimensions that it can do without");
    if (i < maxDimensions && isNew(dim, span, Symbol::Kind::dimension)) {
      symbols[dim] = {
          .kind = Symbol::Kind::dimension, .span = span, .type = Dims{}, .declared = reserved};
      dims.push_back(dim);
    } else {
      reported.insert(dim);
    }
  }
  derive();
  for (const Statement& statement : variant.statements)
    if (statement.kind != Statement::Kind::update)
      declarations.try_emplace(statement.name, statement.span);
}

void Scope::derive() {
  std::set<std::string_view> seen;
  std::vector<const Derivation*> known;
  for (const Derivation& derivation : variant.derived) {
    Symbol* symbol = find(derivation.dim);
    if (!symbol || symbol->kind != Symbol::Kind::dimension || !seen.insert(derivation.dim).second)
      continue;
    symbol->derived = symbol->declared = true;
    known.push_back(&derivation);
  }
  for (const Derivation* derivation : known)
    derive(*derivation);
}

void Scope::derive(const Derivation& derivation) {
  const auto fail = [&](Span span, const std::string& message, const std::string& help) {
    brokenDerivation = true;
    diagnostics.error(span, message, help);
  };
  const Function* function = findFunction(derivation.function);
  if (!function || function->typing != Function::Typing::derivation) {
    std::vector<std::string_view> names;
    std::string list;
    for (const Function& other : functions())
      if (other.typing == Function::Typing::derivation) {
        names.push_back(other.name);
        list += (list.empty() ? "" : " ") + std::string(other.name);
      }
    const auto close = closestName(derivation.function, names);
    return fail(derivation.functionSpan, quote(derivation.function) + " derives no dimension",
                close ? "did you mean " + quote(*close) + "?"
                      : "the functions that derive one are: " + list);
  }
  const Symbol* from = find(derivation.from);
  if (!from || from->kind != Symbol::Kind::dimension)
    return fail(derivation.fromSpan, "unknown dimension " + quote(derivation.from),
                suggestion(derivation.from, true));
  if (from->derived)
    return fail(derivation.fromSpan,
                quote(derivation.dim) + " is derived from " + quote(derivation.from) +
                    ", which is a derived dimension",
                "derive it from a dimension whose size a tensor gives");
  const auto [other, isNew] =
      derivations.try_emplace({derivation.function, derivation.from}, derivation.dim);
  if (!isNew)
    fail(derivation.span,
         quote(derivation.dim) + " is the same dimension as " + quote(other->second) + ", " +
             shorten(derivation.function) + "(" + shorten(derivation.from) + ")",
         "one serves all: take one of them away");
}

std::string Scope::headerWith(const std::string& added) const {
  std::string list;
  for (const std::string& dim : dims) {
    list += (list.empty() ? "" : ", ") + shorten(dim);
    for (const auto& [source, derived] : derivations)
      if (derived == dim)
        list += " = " + source.first + "(" + shorten(source.second) + ")";
  }
  return "'variant " + shorten(variant.name) + "(" + list + ", " + added + ")'";
}

Type Scope::derivedType(const std::string& function, const std::string& dim, Span span) {
  if (const auto found = derivations.find({function, dim}); found != derivations.end()) {
    find(found->second)->used = true;
    return Dims{found->second};
  }
  const std::string call = function + "(" + shorten(dim) + ")";
  if (brokenDerivation || !reported.insert(call).second)
    return std::nullopt;
  if (find(dim)->derived) {
    diagnostics.error(span,
                      quote(function) + " is applied to a value over " + quote(dim) +
                          ", which is a derived dimension",
                      "apply it to a value over a dimension whose size a tensor gives");
    return std::nullopt;
  }
  std::string name = "F";
  for (int i = 2; declarationOf(name); ++i)
    name = "F" + std::to_string(i);
  diagnostics.error(span,
                    "the value of " + quote(function) +
                        " has a dimension of its own, and the variant declares none that is " +
                        call,
                    "write " + headerWith(name + " = " + call));
  return std::nullopt;
}

const Span* Scope::declarationOf(std::string_view name) const {
  if (const auto known = symbols.find(name); known != symbols.end())
    return &known->second.span;
  const auto later = declarations.find(name);
  return later == declarations.end() ? nullptr : &later->second;
}

Symbol* Scope::find(std::string_view name) {
  const auto found = symbols.find(name);
  return found == symbols.end() ? nullptr : &found->second;
}

Symbol* Scope::resolve(std::string_view name, Span span, bool updated) {
  if (Symbol* symbol = find(name))
    return symbol;
  if (!reported.emplace(name).second)
    return nullptr;
  if (const auto later = declarations.find(name); later != declarations.end())
    diagnostics.error(span, quote(name) + " is used before its declaration",
                      "it is declared later, " + atLine(later->second) +
                          "; statements run in order, so move that line up");
  else if (const Function* function = findFunction(name))
    diagnostics.error(span, quote(name) + " is a function and no value",
                      "write " + quote(function->usage));
  else
    diagnostics.error(span, "unknown name " + quote(name),
                      updated ? declareState(name) : suggestion(name, false));
  return nullptr;
}

bool Scope::isNew(const std::string& name, Span span, Symbol::Kind kind) {
  const std::string what = describe(kind);
  if (findFunction(name)) {
    diagnostics.error(span, quote(name) + " is a function and cannot name " + what,
                      "choose another name");
    return false;
  }
  const Symbol* other = find(name);
  if (!other)
    return true;
  if (other->kind == Symbol::Kind::position) {
    diagnostics.error(span, "'position' is reserved and cannot name " + what,
                      "it is the index of the token in its sequence; choose another name");
    return false;
  }
  diagnostics.error(span,
                    quote(name) + " is declared already, as " + describe(other->kind) + " " +
                        atLine(other->span),
                    kind == Symbol::Kind::let
                        ? "a let is bound once for each token: choose another name; what changes "
                          "from token to token is a state"
                        : "the dimensions and values of a variant have distinct names");
  return false;
}

void Scope::declare(const Statement& statement, Symbol::Kind kind, Type type) {
  if (statement.broken) {
    symbols.try_emplace(statement.name, Symbol{.kind = kind, .span = statement.span, .type = {}});
    reported.insert(statement.dims.begin(), statement.dims.end());
    return;
  }
  if (isNew(statement.name, statement.span, kind))
    symbols[statement.name] = {.kind = kind, .span = statement.span, .type = std::move(type)};
}

Type Scope::declaredType(const Statement& statement) {
  if (statement.broken)
    return std::nullopt;
  bool known = true;
  for (size_t i = 0; i < statement.dims.size(); ++i) {
    const std::string& dim = statement.dims[i];
    const Span span = statement.dimSpans[i];
    Symbol* symbol = find(dim);
    if (symbol && symbol->kind == Symbol::Kind::dimension) {
      symbol->declared = symbol->used = true;
      if (std::find(statement.dims.begin(), statement.dims.begin() + i, dim) !=
          statement.dims.begin() + i) {
        known = false;
        diagnostics.error(span,
                          quote(statement.name) + " has the dimension " + quote(dim) + " twice",
                          "the dimensions of a value are distinct: add another one, of any size, "
                          "to the variant");
      }
      continue;
    }
    known = false;
    if (symbol)
      diagnostics.error(span, quote(dim) + " is " + describe(symbol->kind) + ", not a dimension",
                        "the dimensions of this variant are " + describe(dims));
    else if (reported.emplace(dim).second)
      diagnostics.error(span, "unknown dimension " + quote(dim), suggestion(dim, true));
  }
  return known ? Type(ordered(statement.dims)) : std::nullopt;
}

Dims Scope::ordered(const Dims& some) const {
  Dims result;
  for (const std::string& dim : dims)
    if (std::find(some.begin(), some.end(), dim) != some.end())
      result.push_back(dim);
  return result;
}

std::string Scope::suggestion(std::string_view name, bool dimensionsOnly) const {
  if (diagnostics.count(Severity::error) >= Diagnostics::maxKept)
    return "";  // It would not be shown, and the search would make many mistakes slow.
  std::vector<std::string_view> candidates;
  for (const auto& [candidate, symbol] : symbols)
    if (!dimensionsOnly || symbol.kind == Symbol::Kind::dimension)
      candidates.push_back(candidate);
  if (const auto close = closestName(name, candidates))
    return "did you mean " + quote(*close) + "?";
  return dimensionsOnly ? "the dimensions of this variant are " + describe(dims)
                        : "declare it as an input, a param or a state, or bind it with 'let'";
}

}  // namespace lathe::spec
