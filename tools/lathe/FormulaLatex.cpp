// Formulas in LaTeX with amsmath: juxtaposition for scalars, an outer product of values that share
// no dimension, an elementwise one of those that do.
#include "tools/lathe/FormulaPrinter.h"
#include "tools/lathe/Number.h"

#include <algorithm>
#include <set>

namespace lathe::tool {

namespace {

const std::set<std::string> greek = {
    "alpha", "beta", "gamma",   "delta", "epsilon", "zeta",  "eta", "theta", "kappa", "lambda",
    "mu",    "nu",   "xi",      "pi",    "rho",     "sigma", "tau", "phi",   "chi",   "psi",
    "omega", "iota", "upsilon", "Gamma", "Delta",   "Theta", "Phi", "Psi",   "Omega"};

std::string escaped(const std::string& name) {
  std::string text;
  for (char letter : name)
    text += letter == '_' ? std::string("\\_") : std::string(1, letter);
  return text;
}

std::string symbolOf(const std::string& name) {
  if (name.starts_with("d."))
    return "\\mathrm{d}" + symbolOf(name.substr(2));
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  const std::string base = name.substr(0, digits);
  if (digits < name.size() && (base.size() == 1 || greek.contains(base)))
    return symbolOf(base) + "^{(" + name.substr(digits) + ")}";
  if (name.size() == 1)
    return name;
  if (greek.contains(name))
    return "\\" + name;
  return "\\mathrm{" + escaped(name) + "}";
}

std::string relationOf(std::string condition) {
  for (const auto& [plain, tex] : {std::pair{"<=", "\\le"}, {">=", "\\ge"}})
    if (const std::size_t at = condition.find(plain); at != std::string::npos)
      condition.replace(at, 2, tex);
  return condition;
}

class LatexPrinter : public Printer {
public:
  using Printer::Printer;

protected:
  std::string named(const std::string& name, const std::string& place) const override {
    std::string below = place;
    std::erase(below, ',');
    return symbolOf(name) + (below.empty()       ? ""
                             : below.size() == 1 ? "_" + below
                                                 : "_{" + below + "}");
  }

  std::string sumSign(const std::string& condition) const override {
    return "\\sum_{" + relationOf(condition) + "} ";
  }

  std::vector<std::string> layout(const std::string& left, const std::vector<std::string>& rows,
                                  const std::string& condition) const override {
    const std::string first = left + " &= ";
    std::vector<std::string> lines;
    for (const std::string& row : rows) {
      lines.push_back(lines.empty() ? first : "&\\quad ");
      lines.back() += row;
    }
    if (!condition.empty())
      lines.back() += " \\qquad (" + relationOf(condition) + ")";
    return lines;
  }

  std::string expanded(int id, Context context) const override {
    const Term& term = terms[id];
    const auto infix = [&](const char* sign, Context right) {
      return parens(text(term.args[0], sum) + sign + text(term.args[1], right), context > sum);
    };
    switch (term.kind) {
    case Term::Kind::number:
      return number(term.number);
    case Term::Kind::add:
      return infix(" + ", sum);
    case Term::Kind::subtract:
      return infix(" - ", subtrahend);
    case Term::Kind::negate:
      return parens("-" + text(term.args[0], subtrahend), context > sum);
    case Term::Kind::multiply:
      return parens(productText(term), context > product);
    case Term::Kind::divide:
      return "\\frac{" + text(term.args[0]) + "}{" + text(term.args[1]) + "}";
    case Term::Kind::power:
      return base(term.args[0]) + "^{" + number(term.number) + "}";
    case Term::Kind::call:
      return call(term, context);
    case Term::Kind::contract:
      return contraction(id, context);
    case Term::Kind::tokenSum:
      return parens(summed(term), context > subtrahend);
    case Term::Kind::inverse:
      return identityLess(term, [&](int of) { return name(of); }) + "^{-1} " + name(term.args[1]);
    default:
      return "";
    }
  }

private:
  std::string name(int term) const { return symbolOf(terms.names.at(term)); }

  static std::string parens(const std::string& text, bool needed) {
    return enclosed(text, needed, "\\left(", "\\right)");
  }

  static std::string number(double value) {
    std::string text = numberText(value);
    const std::size_t e = text.find('e');
    if (e == std::string::npos)
      return text;
    const std::string mantissa = text.substr(0, e);
    return (mantissa == "1" ? "" : mantissa + " \\cdot ") + "10^{" +
           std::to_string(std::stoi(text.substr(e + 1))) + "}";
  }

  /// A term that may carry an exponent.
  std::string base(int term) const {
    const Term::Kind kind = terms[term].kind;
    const std::string plain = text(term);
    const bool isWhole = terms.names.contains(term) || kind == Term::Kind::symbol ||
                         kind == Term::Kind::state || kind == Term::Kind::at ||
                         plain.starts_with("\\operatorname");
    return parens(plain, !isWhole || plain.find('^') != std::string::npos);
  }

  void factors(const Term& term, std::vector<int>& all) const {
    for (int arg : term.args)
      if (terms[arg].kind == Term::Kind::multiply && !terms.names.contains(arg))
        factors(terms[arg], all);
      else
        all.push_back(arg);
  }

  std::string productText(const Term& term) const {
    std::vector<int> all;
    factors(term, all);
    std::string result;
    std::vector<std::string> before;
    for (int factor : all) {
      const std::vector<std::string> dims = terms[factor].features();
      const bool isShared = std::any_of(dims.begin(), dims.end(), [&](const std::string& dim) {
        return std::find(before.begin(), before.end(), dim) != before.end();
      });
      if (!result.empty())
        result += dims.empty() || before.empty() ? " \\, " : isShared ? " \\odot " : " \\otimes ";
      result += text(factor, divisor);
      before.insert(before.end(), dims.begin(), dims.end());
    }
    return result;
  }

  std::string contraction(int id, Context context) const {
    const Term& term = terms[id];
    const auto rank = [&](int arg) { return terms[arg].features().size(); };
    int left = term.args[0], right = term.args[1];
    if (!terms.isPlain(id) || rank(left) > 2 || rank(right) > 2 || rank(left) + rank(right) > 3)
      return parens("\\sum_{" + term.over + "} " + text(left, divisor) + " \\odot " +
                        text(right, divisor),
                    context > subtrahend);
    if (rank(left) > rank(right))
      std::swap(left, right);
    const bool isColumn = rank(right) == 2 && terms[right].features()[1] == term.over;
    const std::string both = isColumn ? text(right, operand) + " " + text(left, operand)
                                      : base(left) + "^\\top " + text(right, operand);
    return parens(both, context > product);
  }

  std::string call(const Term& term, Context context) const {
    const bool isOverTokens = term.over == "token";
    const std::string first =
        isOverTokens ? textAt(term.args[0], terms.j, top) : text(term.args[0]);
    if (term.name == "exp")
      return "e^{" + first + "}";
    if (term.name == "sqrt")
      return "\\sqrt{" + first + "}";
    if (term.name == "rsqrt")
      return "\\frac{1}{\\sqrt{" + first + "}}";
    if (term.name == "abs")
      return "\\left|" + first + "\\right|";
    if (term.name == "sum")
      return parens("\\sum_{" + term.over + "} " + text(term.args[0], product),
                    context > subtrahend);
    static const std::set<std::string> known = {"log", "tanh", "sin", "cos", "min", "max"};
    std::string function =
        known.contains(term.name) ? "\\" + term.name : "\\operatorname{" + escaped(term.name) + "}";
    if (isOverTokens || (!term.over.empty() && terms[term.args[0]].features().size() > 1) ||
        (term.name == "max" && !term.over.empty()))
      function += "_{" + (isOverTokens ? terms.j : term.over) + "}";
    std::string list = first;
    for (std::size_t arg = 1; arg < term.args.size(); ++arg)
      list += ", " + text(term.args[arg]);
    return function + "\\left(" + list + "\\right)";
  }
};

}  // namespace

std::unique_ptr<Printer> latexPrinter(const Terms& terms, const std::string& index) {
  return std::make_unique<LatexPrinter>(terms, index);
}

}  // namespace lathe::tool
