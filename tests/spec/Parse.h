// What the tests of the spec language share.
#pragma once

#include "compiler/spec/Parser.h"

#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <utility>

namespace lathe::spec {

/// What Diagnostics::print says of the text.
inline std::string printed(std::string_view text, const Diagnostics& diagnostics) {
  std::ostringstream out;
  diagnostics.print(out, "test.lathe", text);
  return out.str();
}

/// The tree of a text in which there is no mistake.
inline Spec parseValid(std::string_view text) {
  Diagnostics diagnostics;
  Spec spec = parse(text, diagnostics);
  EXPECT_FALSE(diagnostics.hasErrors()) << printed(text, diagnostics);
  return spec;
}

/// What is said of a text.
inline std::string messages(std::string_view text) {
  Diagnostics diagnostics;
  parse(text, diagnostics);
  return printed(text, diagnostics);
}

/// A variant with the values q, k [K], v [V], a, b (scalars), M [K, V], and `statements`.
inline std::string variantWith(const std::string& statements) {
  return "variant test(K, V) {\n  input q[K], k[K], v[V], a, b, M[K, V]\n" + statements +
         "\n  state S[K, V]\n  S <- S + k * v\n  output o[V] = q @ S\n}\n";
}

inline const Statement& find(const Variant& variant, std::string_view name) {
  for (const Statement& statement : variant.statements)
    if (statement.name == name)
      return statement;
  ADD_FAILURE() << "no statement declares " << name;
  static const Statement none{};
  return none;
}

/// The expression with a pair of brackets around every operation.
inline std::string bracketed(const Expr& expr) {
  std::ostringstream out;
  switch (expr.kind) {
  case Expr::Kind::number:
    out << expr.number;
    break;
  case Expr::Kind::name:
    out << expr.name;
    break;
  case Expr::Kind::negate:
    out << "(-" << bracketed(*expr.args[0]) << ")";
    break;
  case Expr::Kind::binary:
    out << "(" << bracketed(*expr.args[0]) << " " << "+-*/@"[static_cast<int>(expr.op)] << " "
        << bracketed(*expr.args[1]) << ")";
    break;
  case Expr::Kind::call:
    out << expr.name << "(";
    for (size_t i = 0; i < expr.args.size(); ++i)
      out << (i ? ", " : "") << bracketed(*expr.args[i]);
    out << ")";
    break;
  }
  return out.str();
}

/// The value of `let x = EXPRESSION` in a variant of variantWith, bracketed.
inline std::string parsed(const std::string& expression) {
  const Spec spec = parseValid(variantWith("  let x = " + expression));
  if (spec.variants.empty() || !find(spec.variants[0], "x").value)
    return "";
  return bracketed(*find(spec.variants[0], "x").value);
}

/// The type of the same value.
inline Dims typed(const std::string& expression) {
  const Spec spec = parseValid(variantWith("  let x = " + expression));
  return spec.variants.empty() ? Dims{} : find(spec.variants[0], "x").dims;
}

}  // namespace lathe::spec
