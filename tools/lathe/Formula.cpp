#include "tools/lathe/Formula.h"

namespace lathe::tool {

namespace {

/// In characters: what is shorter is repeated rather than named; what is longer is named although
/// it is used once.
constexpr std::size_t shortText = 14, longText = 80;

bool isLeaf(const Term& term) {
  return term.kind == Term::Kind::number || term.kind == Term::Kind::symbol ||
         term.kind == Term::Kind::state || term.kind == Term::Kind::at ||
         term.kind == Term::Kind::series || term.kind == Term::Kind::inverse;
}

bool isSum(const Term& term) {
  return term.kind == Term::Kind::add || term.kind == Term::Kind::subtract;
}

}  // namespace

Formulas::Formulas(const CompiledVariant& variant) : terms(termsOf(variant)) {
  addForm(Stage::normal, variant.normal.program);
  if (variant.chunk)
    addForm(Stage::chunk, variant.chunk->program);
  addForm(Stage::gradient, variant.gradient.program);
  nodes = termsOf(variant.plan, terms);
}

void Formulas::addForm(Stage stage, const reference::Program& program) {
  const std::vector<Equation> wanted = equationsOf(program, terms);
  std::map<int, Uses> uses;
  for (const Equation& equation : wanted) {
    count(equation.right, uses);
    uses[equation.right].isFactor |= equation.overTokens;
  }
  nameTerms(uses, program.chunked ? terms.i : "");
  std::vector<Equation> equations;
  std::set<int> seen;
  for (const Equation& equation : wanted) {
    addDefinitions(equation.right, seen, equations);
    equations.push_back(equation);
  }
  // At once, since what a later form names stands in no equation of this one.
  const std::string index = program.chunked ? terms.i : "";
  for (const Style style : {Style::text, Style::latex}) {
    const auto printer = style == Style::text ? textPrinter(terms, index)
                                              : latexPrinter(terms, index.empty() ? "t" : index);
    for (const Equation& equation : equations)
      for (std::string& line : printer->lines(equation))
        forms[{stage, style}].push_back(std::move(line));
  }
}

void Formulas::count(int term, std::map<int, Uses>& uses) const {
  const auto [found, isNew] = uses.try_emplace(term);
  if (!isNew || defined.contains(term))
    return;
  const Term& user = terms[term];
  const bool isShifting = user.kind == Term::Kind::at ||
                          (user.kind == Term::Kind::tokenSum && user.place.empty()) ||
                          user.over == "token";
  for (int arg : user.args) {
    count(arg, uses);
    Uses& use = uses[arg];
    ++use.count;
    use.isFactor |= !isSum(user) && user.kind != Term::Kind::series;
    use.isShifted |= isShifting;
  }
}

void Formulas::nameTerms(const std::map<int, Uses>& uses, const std::string& index) {
  const auto printer = textPrinter(terms, index);
  std::set<int> sums;   // What is, or shows, a sum over tokens.
  std::set<int> pairs;  // What belongs to two tokens, of scores.
  for (const auto& [term, use] : uses) {
    const Term& named = terms[term];
    bool isPair = named.kind == Term::Kind::at && named.place.starts_with(terms.j);
    for (int arg : named.args)
      isPair |= named.kind != Term::Kind::tokenSum && named.kind != Term::Kind::series &&
                pairs.contains(arg);
    if (isPair)
      pairs.insert(term);
    if (isPair || isLeaf(named) || terms.names.contains(term) || use.count == 0)
      continue;
    bool isTokenSum = named.kind == Term::Kind::tokenSum;
    for (int arg : named.args)
      isTokenSum |= sums.contains(arg);
    const std::size_t size = printer->text(term).size();
    const auto label = terms.labels.find(term);
    if (label != terms.labels.end()) {
      terms.names[term] = label->second;
    } else if ((use.count > 1 && size > shortText) || (use.isFactor && size > longText) ||
               (use.isShifted && isTokenSum)) {
      const Term& first = named.args.empty() ? named : terms[named.args[0]];
      const bool isFlow = named.kind == Term::Kind::add && first.kind == Term::Kind::state &&
                          first.name.starts_with("d.");
      terms.name(term, isFlow ? "P" : "x");
    } else if (isTokenSum) {
      sums.insert(term);
    }
  }
}

void Formulas::addDefinitions(int term, std::set<int>& seen, std::vector<Equation>& equations) {
  if (defined.contains(term) || !seen.insert(term).second)
    return;
  for (int arg : terms[term].args)
    addDefinitions(arg, seen, equations);
  if (!terms.names.contains(term))
    return;
  if (!terms.isNumbered(term))
    terms.fix(term, terms.freeName(terms.names[term]));
  const bool isSeries = terms[term].kind == Term::Kind::series;
  equations.push_back({term, isSeries ? terms[term].args[0] : term});
  defined.insert(term);
}

std::vector<std::string> Formulas::lines(Stage stage, Style style) const {
  const auto form = forms.find({stage, style});
  return form == forms.end() ? std::vector<std::string>() : form->second;
}

std::string Formulas::chunkLegend() const {
  return "token " + terms.i + " of a chunk of " + terms.last +
         " tokens, 0 the place before its first";
}

std::string Formulas::text(int node) const { return textPrinter(terms, "")->text(nodes[node]); }

}  // namespace lathe::tool
