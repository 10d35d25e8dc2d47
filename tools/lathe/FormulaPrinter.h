// Terms as people write them: in the words of the spec, or in LaTeX.
#pragma once

#include "tools/lathe/FormulaReader.h"

#include <memory>

namespace lathe::tool {

class Printer {
public:
  /// How tightly what stands around a term binds: the term has parentheses if it binds less.
  enum Context { top, sum, subtrahend, product, divisor, operand };

  /// `index` is the token that values belong to where nothing else is said; "" shows none.
  Printer(const Terms& terms, std::string index) : terms(terms), index(std::move(index)) {}
  virtual ~Printer() = default;

  /// A term, by its name if it has one.
  std::string text(int term, Context context = top) const;

  /// What the term is computed from, whether it has a name or not.
  std::string definition(int term) const;

  /// The lines of left = right.
  std::vector<std::string> lines(const Equation& equation) const;

protected:
  virtual std::string named(const std::string& name, const std::string& place) const = 0;
  virtual std::string expanded(int id, Context context) const = 0;
  virtual std::string sumSign(const std::string& condition) const = 0;
  /// left, an equality sign, and one or several groups of summands; the condition, or "".
  virtual std::vector<std::string> layout(const std::string& left,
                                          const std::vector<std::string>& rows,
                                          const std::string& condition) const = 0;

  /// A term as it stands at another token.
  std::string textAt(int term, const std::string& place, Context context) const;
  /// A sum over tokens, without parentheses.
  std::string summed(const Term& term) const;
  /// (I - L) or (I + L), of the matrix that an inverse is of; `name` prints it.
  template <typename Name> std::string identityLess(const Term& term, Name name) const {
    const Term& matrix = terms[term.args[0]];
    return matrix.kind == Term::Kind::negate ? "(I + " + name(matrix.args[0]) + ")"
                                             : "(I - " + name(term.args[0]) + ")";
  }
  bool isPair(const Term& term) const { return term.has("source"); }
  static std::string enclosed(const std::string& text, bool needed, const char* open = "(",
                              const char* close = ")") {
    return needed ? open + text + close : text;
  }

  const Terms& terms;
  mutable std::string index;
};

/// `index`: "" for the token form, else the token at hand.
std::unique_ptr<Printer> textPrinter(const Terms& terms, const std::string& index);
std::unique_ptr<Printer> latexPrinter(const Terms& terms, const std::string& index);

}  // namespace lathe::tool
