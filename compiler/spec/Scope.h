// The names of one variant.
#pragma once

#include "compiler/spec/Ast.h"

#include <map>
#include <optional>
#include <set>

namespace lathe::spec {

/// The dimensions of a value in the order of the variant; nothing where a mistake that is reported
/// already leaves them unknown.
using Type = std::optional<Dims>;

/// The states that a value is computed from: the first that is read of each direction, empty for
/// none.
struct Sources {
  std::string forward, reverse;
};

struct Symbol {
  enum class Kind { dimension, position, input, param, constant, let, state, output };

  Kind kind;
  Span span;  ///< Of its declaration.
  Type type;
  bool used = false;
  bool updated = false;   ///< Of a state.
  bool declared = false;  ///< Of a dimension: its size is given, by the tensors or by another's.
  bool derived = false;   ///< Of a dimension.
  Sources sources = {};   ///< Of a let, and of a state itself.
};

/// "an input", "a state", ...
const char* describe(Symbol::Kind kind);

/// "[K, V]", or "a scalar"; cut where it is too long for a message.
std::string describe(const Dims& dims);

class Scope {
public:
  /// Holds `position` and the dimensions of the variant; reports those that are no good.
  Scope(const Variant& variant, Diagnostics& diagnostics);

  /// The symbol of the name, or null.
  Symbol* find(std::string_view name);
  /// The symbol that a statement or an expression names. Null where there is none so far: that is
  /// reported, once a name.
  Symbol* resolve(std::string_view name, Span span, bool updated = false);
  /// Makes a symbol of what the statement declares; reports a name that is taken or reserved.
  void declare(const Statement& statement, Symbol::Kind kind, Type type);
  /// The declared dimensions in the order of the variant; reports those that do not exist or
  /// repeat.
  Type declaredType(const Statement& statement);
  /// The dimension that `function` derives from `dim`. None where the variant declares none: that
  /// is reported at `span`, once.
  Type derivedType(const std::string& function, const std::string& dim, Span span);
  /// Where a name is declared, above or below; null where it is not.
  const Span* declarationOf(std::string_view name) const;
  /// The same dimensions in the order of the variant.
  Dims ordered(const Dims& some) const;

private:
  void derive();
  void derive(const Derivation& derivation);
  std::string headerWith(const std::string& added) const;
  bool isNew(const std::string& name, Span span, Symbol::Kind kind);
  std::string suggestion(std::string_view name, bool dimensionsOnly) const;

  const Variant& variant;
  Diagnostics& diagnostics;
  Dims dims;  ///< Of the variant, as many as it may have.
  std::map<std::pair<std::string, std::string>, std::string> derivations;  ///< By function and dim.
  bool brokenDerivation = false;
  std::map<std::string, Symbol, std::less<>> symbols;
  std::map<std::string, Span, std::less<>> declarations;  ///< Of every name, those to come too.
  std::set<std::string, std::less<>> reported;
};

}  // namespace lathe::spec
