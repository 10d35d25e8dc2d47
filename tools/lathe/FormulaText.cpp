// Formulas in the words of the spec, with S[t-1] for a state before the token and G[i] for a value
// of a token of the chunk.
#include "tools/lathe/FormulaPrinter.h"
#include "tools/lathe/Number.h"

#include <algorithm>

namespace lathe::tool {

namespace {

class TextPrinter : public Printer {
public:
  using Printer::Printer;

protected:
  std::string named(const std::string& name, const std::string& place) const override {
    return terms.plainName(name) + (place.empty() ? "" : "[" + place + "]");
  }

  std::string sumSign(const std::string& condition) const override {
    std::string range = condition;
    std::erase(range, ' ');
    return range.size() == 1 ? "sum_" + range + " " : "sum_{" + range + "} ";
  }

  std::vector<std::string> layout(const std::string& left, const std::vector<std::string>& rows,
                                  const std::string& condition) const override {
    const std::string indent(left.size() + 1, ' ');
    const std::string first = left + " = ";
    std::vector<std::string> lines;
    for (const std::string& row : rows) {
      lines.push_back(lines.empty() ? first : indent);
      lines.back() += row;
    }
    if (!condition.empty())
      lines.back() += "   for " + condition;
    return lines;
  }

  std::string expanded(int id, Context context) const override {
    const Term& term = terms[id];
    const auto infix = [&](const char* sign, Context own, Context right) {
      return enclosed(text(term.args[0], own) + sign + text(term.args[1], right), own < context);
    };
    switch (term.kind) {
    case Term::Kind::number:
      return numberText(term.number);
    case Term::Kind::add:
      return infix(" + ", sum, sum);
    case Term::Kind::subtract:
      return infix(" - ", sum, subtrahend);
    case Term::Kind::negate:
      return enclosed("-" + text(term.args[0], subtrahend), context > sum);
    case Term::Kind::multiply:
      return infix(" * ", product, product);
    case Term::Kind::divide:
      return infix(" / ", product, divisor);
    case Term::Kind::power:
      return text(term.args[0], operand) + "^" + numberText(term.number);
    case Term::Kind::call:
      return call(term);
    case Term::Kind::contract:
      if (!terms.isPlain(id))
        return "sum_" + term.over + "(" + text(term.args[0], product) + " * " +
               text(term.args[1], product) + ")";
      return enclosed(text(term.args[0], operand) + " @ " + text(term.args[1], operand),
                      context > subtrahend);
    case Term::Kind::tokenSum:
      return enclosed(summed(term), context > subtrahend);
    case Term::Kind::inverse:
      return identityLess(term, [&](int of) { return name(of); }) + "^-1 " + name(term.args[1]);
    default:
      return "";
    }
  }

private:
  std::string name(int term) const { return terms.names.at(term); }

  std::string call(const Term& term) const {
    if (term.over == "token")
      return term.name + "_" + terms.j + "(" + textAt(term.args[0], terms.j, top) + ")";
    std::string function = term.name;
    if (term.over.find(',') != std::string::npos)
      function += "_{" + term.over + "}";
    else if (!term.over.empty() && terms[term.args[0]].features().size() > 1)
      function += "_" + term.over;
    std::string list;
    for (int arg : term.args)
      list += (list.empty() ? "" : ", ") + text(arg);
    return function + "(" + list + ")";
  }
};

}  // namespace

std::unique_ptr<Printer> textPrinter(const Terms& terms, const std::string& index) {
  return std::make_unique<TextPrinter>(terms, index);
}

}  // namespace lathe::tool
