#include "tools/lathe/FormulaTerm.h"

#include "tools/lathe/Number.h"

#include <algorithm>
#include <cmath>

namespace lathe::tool {

namespace {

/// What l2norm and rmsnorm add to a square where the spec says nothing else.
constexpr double normEpsilon = 1e-6;

}  // namespace

bool Term::has(const std::string& dim) const {
  return std::find(dims.begin(), dims.end(), dim) != dims.end();
}

std::vector<std::string> Term::features() const {
  std::vector<std::string> rest = dims;
  std::erase(rest, "token");
  std::erase(rest, "source");
  return rest;
}

Terms::Terms(const std::vector<std::string>& dims, std::set<std::string> taken)
    : order{"token", "source"}, taken(std::move(taken)) {
  order.insert(order.end(), dims.begin(), dims.end());
  for (const auto& [first, second] : {std::pair{"i", "j"}, {"t", "s"}, {"n", "m"}, {"r", "c"}})
    if (!this->taken.contains(first) && !this->taken.contains(second)) {
      i = first;
      j = second;
      break;
    }
  last = this->taken.contains("C") ? freeName("N") : "C";
  this->taken.insert({i, j, last, "t", "d", "e", "I"});
}

std::string Terms::freeName(const std::string& hint) {
  for (int number = 1;; ++number) {
    const std::string name =
        hint + (number == 1 && hint != "x" ? std::string() : std::to_string(number));
    if (taken.insert(name).second)
      return name;
  }
}

void Terms::label(int term, const std::string& name) {
  const Term::Kind kind = all[term].kind;
  if (kind != Term::Kind::number && kind != Term::Kind::symbol && kind != Term::Kind::state)
    labels.emplace(term, name);
}

std::string Terms::shown(const std::string& name) const {
  const auto found = aliases.find(name);
  return found == aliases.end() ? name : found->second;
}

std::string Terms::plainName(const std::string& name) const {
  if (!name.starts_with("d.") || taken.contains("d" + name.substr(2)))
    return name;
  return "d" + name.substr(2);
}

void Terms::name(int term, const std::string& hint) {
  names[term] = hint;
  unnumbered.insert(term);
}

void Terms::rename(int series, const std::string& hint) {
  if (unnumbered.contains(series))
    names[series] = hint;
}

void Terms::fix(int term, const std::string& name) {
  names[term] = name;
  unnumbered.erase(term);
}

int Terms::intern(Term term) {
  std::string key = std::to_string(int(term.kind));
  for (const std::string& text : {term.name, term.over, term.place, numberText(term.number)})
    key += "|" + text;
  for (int arg : term.args)
    key += "," + std::to_string(arg);
  const auto [found, isNew] = known.emplace(key, size());
  if (isNew)
    all.push_back(std::move(term));
  return found->second;
}

int Terms::intern(Term::Kind kind, std::vector<int> args) {
  Term term{kind, std::move(args)};
  term.dims = united(term.args);
  return intern(std::move(term));
}

std::vector<std::string> Terms::united(const std::vector<int>& args) const {
  std::vector<std::string> dims;
  for (const std::string& dim : order)
    if (std::any_of(args.begin(), args.end(), [&](int arg) { return all[arg].has(dim); }))
      dims.push_back(dim);
  return dims;
}

bool Terms::isNumber(int a, double value) const {
  return all[a].kind == Term::Kind::number && all[a].number == value;
}

bool Terms::isCall(int a, const char* name) const {
  return all[a].kind == Term::Kind::call && all[a].name == name;
}

int Terms::number(double value) {
  Term term{Term::Kind::number, {}};
  term.number = value;
  return intern(std::move(term));
}

int Terms::symbol(const std::string& name, std::vector<std::string> dims) {
  return intern(Term{Term::Kind::symbol, {}, name, "", "", 0, std::move(dims)});
}

int Terms::state(const std::string& name, const std::string& place, std::vector<std::string> dims) {
  return intern(Term{Term::Kind::state, {}, name, "", place, 0, std::move(dims)});
}

double Terms::coefficient(int& a) {
  if (labels.contains(a))
    return 1;
  const Term& term = all[a];
  if (term.kind == Term::Kind::number) {
    const double number = term.number;
    a = this->number(1);
    return number;
  }
  if (term.kind == Term::Kind::negate) {
    a = term.args[0];
    return -coefficient(a);
  }
  if (term.kind == Term::Kind::multiply && all[term.args[0]].kind == Term::Kind::number) {
    const double number = all[term.args[0]].number;
    a = term.args[1];
    return number;
  }
  return 1;
}

int Terms::scaled(double factor, int a) {
  factor *= coefficient(a);
  if (isNumber(a, 1) || factor == 0)
    return number(factor);
  if (factor == 1)
    return a;
  if (factor == -1 && all[a].kind == Term::Kind::subtract && !labels.contains(a))
    return subtract(all[a].args[1], all[a].args[0]);
  if (factor < 0)
    return intern(Term::Kind::negate, {scaled(-factor, a)});
  return intern(Term::Kind::multiply, {number(factor), a});
}

int Terms::add(int a, int b) {
  if (isNumber(a, 0))
    return b;
  if (isNumber(b, 0))
    return a;
  if (a == b)
    return scaled(2, a);
  const auto isMinus = [&](int x) {
    return all[x].kind == Term::Kind::negate && !labels.contains(x);
  };
  if (isMinus(b))
    return subtract(a, all[b].args[0]);
  if (isMinus(a))
    return subtract(b, all[a].args[0]);
  if (all[a].kind == Term::Kind::add && all[a].args[1] == b)
    return add(all[a].args[0], scaled(2, b));
  return intern(Term::Kind::add, {a, b});
}

int Terms::subtract(int a, int b) {
  if (a == b)
    return number(0);
  if (isNumber(a, 0))
    return negate(b);
  if (isNumber(b, 0))
    return a;
  if (all[b].kind == Term::Kind::negate && !labels.contains(b))
    return add(a, all[b].args[0]);
  if (isCall(a, "step") && isCall(b, "step") && all[b].args[0] == negate(all[a].args[0]))
    return call("sign", all[a].args);
  if (all[a].kind == Term::Kind::subtract && all[a].args[1] == b)
    return subtract(all[a].args[0], scaled(2, b));
  return intern(Term::Kind::subtract, {a, b});
}

/// l2norm(x) or rmsnorm(x) where x times this root is one; -1 where it is not.
int Terms::norm(int x, int root) {
  if (!isCall(root, "rsqrt") || all[all[root].args[0]].kind != Term::Kind::add)
    return -1;
  const std::vector<int> padded = all[all[root].args[0]].args;
  if (all[padded[1]].kind != Term::Kind::number)
    return -1;
  const bool isMean = all[padded[0]].kind == Term::Kind::divide;
  const int square = isMean ? all[padded[0]].args[0] : padded[0];
  if (!isCall(square, "sum"))
    return -1;
  const std::string dim = all[square].over;
  const int squared = all[square].args[0];
  if (squared != multiply(x, x) || (isMean && all[padded[0]].args[1] != symbol(dim, {})))
    return -1;
  std::vector<int> args = {x};
  if (all[padded[1]].number != normEpsilon)
    args.push_back(padded[1]);
  return call(isMean ? "rmsnorm" : "l2norm", args, dim);
}

int Terms::multiply(int a, int b) {
  double factor = coefficient(a);
  factor *= coefficient(b);
  int product = -1;
  const auto base = [&](int x) { return all[x].kind == Term::Kind::power ? all[x].args[0] : x; };
  const auto power = [&](int x) { return all[x].kind == Term::Kind::power ? all[x].number : 1; };
  if (isNumber(a, 1) || isNumber(b, 1)) {
    product = isNumber(a, 1) ? b : a;
  } else if (base(a) == base(b)) {
    Term term{Term::Kind::power, {base(a)}, "", "", "", power(a) + power(b), all[a].dims};
    product = intern(std::move(term));
  } else if (const int whole = std::max(norm(a, b), norm(b, a)); whole >= 0) {
    product = whole;
  } else {
    if (all[a].features().size() > all[b].features().size())
      std::swap(a, b);
    product = intern(Term::Kind::multiply, {a, b});
  }
  return scaled(factor, product);
}

int Terms::softmax(int numerator, int divisor) {
  if (!isCall(divisor, "sum") || all[divisor].args[0] != numerator || !isCall(numerator, "exp"))
    return -1;
  const Term& shifted = all[all[numerator].args[0]];
  if (shifted.kind != Term::Kind::subtract || !isCall(shifted.args[1], "max") ||
      all[shifted.args[1]].args[0] != shifted.args[0] ||
      all[shifted.args[1]].over != all[divisor].over)
    return -1;
  return call("softmax", {shifted.args[0]}, all[divisor].over);
}

int Terms::divide(int a, int b) {
  if (isNumber(b, 1) || isNumber(a, 0))
    return a;
  if (const int whole = softmax(a, b); whole >= 0)
    return whole;
  const double factor = coefficient(a);
  if (isNumber(a, 1))
    return scaled(factor < 0 ? -1 : 1, intern(Term::Kind::divide, {number(std::abs(factor)), b}));
  return scaled(factor, intern(Term::Kind::divide, {a, b}));
}

int Terms::call(const std::string& name, std::vector<int> args, const std::string& over) {
  if (name == "exp" && isNumber(args[0], 0))
    return number(1);
  // The normal form has the logarithms of decays.
  if (name == "exp" && isCall(args[0], "log") && !labels.contains(args[0]))
    return all[args[0]].args[0];
  if (name == "exp" && isCall(args[0], "logsigmoid") && !labels.contains(args[0]))
    return call("sigmoid", all[args[0]].args);
  std::vector<std::string> dims = united(args);
  return call(name, std::move(args), over, std::move(dims));
}

int Terms::call(const std::string& name, std::vector<int> args, const std::string& over,
                std::vector<std::string> dims) {
  return intern(Term{Term::Kind::call, std::move(args), name, over, "", 0, std::move(dims)});
}

bool Terms::isPlain(int contraction) const {
  const Term& term = all[contraction];
  const std::vector<std::string> dims = all[term.args[0]].features();
  return std::none_of(dims.begin(), dims.end(), [&](const std::string& dim) {
    return dim != term.over && all[term.args[1]].has(dim);
  });
}

int Terms::sum(int a, const std::string& dim) {
  const double factor = coefficient(a);
  if (!all[a].has(dim))
    return scaled(factor, multiply(symbol(dim, {}), a));
  if (all[a].kind == Term::Kind::multiply && !labels.contains(a) &&
      all[all[a].args[0]].features().empty()) {
    const int scale = all[a].args[0];
    return scaled(factor, multiply(scale, sum(all[a].args[1], dim)));
  }
  if (all[a].kind == Term::Kind::contract && !isPlain(a)) {
    const Term inner = all[a];
    std::vector<std::string> dims = inner.dims;
    std::erase(dims, dim);
    const int both = multiply(inner.args[0], inner.args[1]);
    return scaled(factor, call("sum", {both}, inner.over + "," + dim, std::move(dims)));
  }
  std::vector<std::string> dims = all[a].dims;
  std::erase(dims, dim);
  return scaled(factor, call("sum", {a}, dim, std::move(dims)));
}

int Terms::contract(int a, int b, const std::string& dim) {
  if (!all[a].has(dim) && !all[b].has(dim))
    return sum(multiply(a, b), dim);
  if (!all[a].has(dim))
    return multiply(a, sum(b, dim));
  if (!all[b].has(dim))
    return multiply(sum(a, dim), b);
  double factor = coefficient(a);
  factor *= coefficient(b);
  for (const auto& [product, other] : {std::pair{a, b}, {b, a}}) {
    const Term& scaling = all[product];
    if (scaling.kind != Term::Kind::multiply || labels.contains(product) ||
        !all[scaling.args[0]].features().empty())
      continue;
    const int scale = scaling.args[0], rest = scaling.args[1];
    return scaled(factor, multiply(scale, product == a ? contract(rest, other, dim)
                                                       : contract(other, rest, dim)));
  }
  Term term{Term::Kind::contract, {a, b}, "", dim};
  term.dims = united(term.args);
  std::erase(term.dims, dim);
  return scaled(factor, intern(std::move(term)));
}

int Terms::at(int a, const std::string& place) {
  if (!all[a].has("token") || place == i)
    return a;
  const double factor = coefficient(a);
  Term term{Term::Kind::at, {a}, "", "", place, 0, all[a].dims};
  return scaled(factor, intern(std::move(term)));
}

/// How many tokens j there are for which the condition holds.
int Terms::tokenCount(const std::string& condition) {
  const int own = symbol(i, {"token"}), all = symbol(last, {});
  if (condition.empty())
    return all;
  if (condition.find('<') != std::string::npos)
    return condition.find('=') != std::string::npos ? own : subtract(own, number(1));
  const int after = subtract(all, own);
  return condition.find('=') != std::string::npos ? add(after, number(1)) : after;
}

int Terms::tokenSum(int a, const std::string& condition) {
  if (!all[a].has("token") && !all[a].has("source"))
    return multiply(tokenCount(condition), a);
  const double factor = coefficient(a);
  Term term{Term::Kind::tokenSum, {a}, "", "", condition, 0, all[a].dims};
  std::erase(term.dims, "source");
  if (condition.empty())
    std::erase(term.dims, "token");
  return scaled(factor, intern(std::move(term)));
}

int Terms::inverse(int scores, int right) {
  return intern(Term{Term::Kind::inverse, {scores, right}, "", "", "", 0, all[right].dims});
}

int Terms::series(const std::string& hint, const std::vector<int>& key,
                  const std::string& condition, std::vector<std::string> dims) {
  Term term{Term::Kind::series, key, hint, "", condition, 0, std::move(dims)};
  const int before = size();
  const int id = intern(std::move(term));
  if (id == before) {
    all[id].args.clear();
    name(id, hint);
  }
  return id;
}

}  // namespace lathe::tool
