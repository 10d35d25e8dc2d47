// The functions of the spec language.
#pragma once

#include <span>
#include <string_view>

namespace lathe::spec {

struct Function {
  /// How the type of a call follows from the types of its arguments.
  enum class Typing {
    elementwise,  ///< The arguments broadcast; the call has every dimension that one of them has.
    featureMap,   ///< One argument of one dimension; the call has that dimension.
    reduction,    ///< One argument of one dimension; the call is a scalar.
    derivation,   ///< One argument of one dimension; the call has one that is derived from it.
  };

  std::string_view name;
  int arity;
  Typing typing;
  std::string_view usage;  ///< As one writes it, for messages.
};

/// Every function, in the order of the reference.
std::span<const Function> functions();

/// The function of this name, or null.
const Function* findFunction(std::string_view name);

}  // namespace lathe::spec
