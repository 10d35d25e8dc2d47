// The syntax tree of a spec. The parser builds it; the checker fills in every type, so that
// lowering only translates.
#pragma once

#include "compiler/spec/Diagnostics.h"

#include <memory>
#include <string>
#include <vector>

namespace lathe::spec {

/// The named dimensions of one per-token value, in the order in which the variant declares them;
/// empty for a scalar.
using Dims = std::vector<std::string>;

enum class BinaryOp { add, subtract, multiply, divide, contract };

struct Expr {
  enum class Kind {
    number,  ///< 1e-6
    name,    ///< a declared value, a dimension (its size), or `position`
    negate,  ///< -x
    binary,  ///< x + y, x - y, x * y, x / y, x @ y
    call,    ///< exp(x), l2norm(k), clamp(x, low, high)
  };

  Kind kind;
  Span span;  ///< The token that names the operation: the operator, the name, the number.
  double number = 0;
  std::string name;  ///< Of a name or of the function called.
  BinaryOp op = BinaryOp::add;
  std::vector<std::unique_ptr<Expr>> args;
  Dims dims;               ///< The checker's: the type of the value.
  std::string contracted;  ///< The checker's: the dimension that `@` contracts.
};

struct Statement {
  enum class Kind { input, param, constant, let, state, update, output };

  Kind kind;
  Span span;  ///< The name declared or assigned.
  std::string name;
  Dims dims;  ///< As declared (a state keeps this order in memory); of let: inferred.
  std::vector<Span> dimSpans;  ///< Where each declared dimension is written; empty for let.
  bool log = false;            ///< `in log`: the natural logarithm of a decay, at most 0.
  bool reverse = false;  ///< `in reverse`: a state that goes from the last token to the first.
  std::unique_ptr<Expr> value;  ///< Of const, let, update, output.
  bool broken = false;  ///< A mistake in it is reported: report nothing that follows from it.
};

/// `F = taylor2(K)` in a header: a dimension whose size follows from another's.
struct Derivation {
  std::string dim, function, from;
  Span span, functionSpan, fromSpan;
};

/// What the reverse of a state is called in `direction both`.
inline std::string reverseName(const std::string& state) { return state + "_reverse"; }

struct Variant {
  std::string name;
  Span span;  ///< The name.
  Dims dims;
  std::vector<Span> dimSpans;         ///< Where each dimension is declared.
  std::vector<Derivation> derived;    ///< Of some of the dimensions.
  bool both = false;                  ///< `direction both`: every token sees all.
  Span direction{.line = 0};          ///< The word after `direction`; line 0 where there is none.
  std::vector<Statement> statements;  ///< In the order in which they run for each token.
  bool broken = false;                ///< Some statement could not be read at all.
};

struct Spec {
  std::vector<Variant> variants;
};

}  // namespace lathe::spec
