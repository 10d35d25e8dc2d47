#include "tools/lathe/FormulaPrinter.h"

namespace lathe::tool {

namespace {

/// Where a formula is broken, in characters of plain text.
constexpr std::size_t width = 96;

using Summand = std::pair<bool, int>;  ///< Whether it is subtracted, and what.

void split(const Terms& terms, int term, bool isTop, bool isMinus, std::vector<Summand>& summands) {
  const Term& sum = terms[term];
  const bool isSum = sum.kind == Term::Kind::add || sum.kind == Term::Kind::subtract;
  if (sum.kind == Term::Kind::negate && isTop)
    return summands.emplace_back(!isMinus, sum.args[0]), void();
  if (!isSum || (!isTop && terms.names.contains(term)) || isMinus)
    return summands.emplace_back(isMinus, term), void();
  split(terms, sum.args[0], false, false, summands);
  split(terms, sum.args[1], false, sum.kind == Term::Kind::subtract, summands);
}

}  // namespace

std::string Printer::text(int term, Context context) const {
  const Term& printed = terms[term];
  const auto name = terms.names.find(term);
  if (name != terms.names.end())
    return named(name->second, isPair(printed)        ? terms.i + "," + terms.j
                               : printed.has("token") ? index
                                                      : "");
  if (printed.kind == Term::Kind::symbol && printed.name == terms.i)
    return index;
  if (printed.kind == Term::Kind::symbol)
    return named(printed.name, printed.has("token") ? index : "");
  if (printed.kind == Term::Kind::state)
    return named(printed.name, printed.place);
  if (printed.kind == Term::Kind::at && isPair(printed))
    return named(terms.names.at(printed.args[0]), printed.place);
  if (printed.kind == Term::Kind::at)
    return textAt(printed.args[0], printed.place, context);
  return expanded(term, context);
}

std::string Printer::definition(int term) const {
  const Term::Kind kind = terms[term].kind;
  const bool isLeaf = kind == Term::Kind::symbol || kind == Term::Kind::state ||
                      kind == Term::Kind::at || kind == Term::Kind::series;
  return isLeaf ? text(term) : expanded(term, top);
}

std::string Printer::summed(const Term& term) const {
  return term.place.empty() ? sumSign(terms.j) + textAt(term.args[0], terms.j, product)
                            : sumSign(term.place) + text(term.args[0], product);
}

std::string Printer::textAt(int term, const std::string& place, Context context) const {
  const std::string outer = index;
  const bool isRelative = place.starts_with(terms.i) && outer != terms.i && place != terms.last;
  index = isRelative ? outer + place.substr(terms.i.size()) : place;
  std::string result = text(term, context);
  index = outer;
  return result;
}

std::vector<std::string> Printer::lines(const Equation& equation) const {
  const Term& left = terms[equation.left];
  const bool isWhole = terms[equation.right].kind == Term::Kind::inverse;
  const std::string outer = index;
  if (isWhole)
    index.clear();
  const std::string name = text(equation.left);
  const std::string condition = left.kind == Term::Kind::series ? left.place : "";
  std::vector<std::string> rows;
  if (equation.overTokens) {
    const bool isMinus =
        terms[equation.right].kind == Term::Kind::negate && !terms.names.contains(equation.right);
    rows = {(isMinus ? "-" : "") + sumSign("t") +
            text(isMinus ? terms[equation.right].args[0] : equation.right, product)};
  } else if (equation.left != equation.right && terms.names.contains(equation.right)) {
    rows = {text(equation.right)};
  } else {
    std::vector<Summand> summands;
    split(terms, equation.right, true, false, summands);
    const auto plain = textPrinter(terms, index);
    std::size_t used = name.size();
    for (const auto& [isMinus, summand] : summands) {
      const bool isFirst = rows.empty();
      const bool isOwn = summands.size() == 1 && !isMinus;
      const auto print = [&](const Printer& printer) {
        return isOwn ? printer.definition(summand)
                     : printer.text(summand, isMinus ? subtrahend : sum);
      };
      const std::size_t size = print(*plain).size() + 3;
      const std::string sign = isMinus ? (isFirst ? "-" : "- ") : isFirst ? "" : "+ ";
      if (isFirst || used + size > width) {
        rows.push_back(sign + print(*this));
        used = name.size() + size;
      } else {
        rows.back() += " " + sign + print(*this);
        used += size;
      }
    }
  }
  index = outer;
  return layout(name, rows, condition);
}

}  // namespace lathe::tool
