// The values of all forms of one variant as terms that are shared: what is computed alike is one
// term, in whichever form it stands.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace lathe::tool {

struct Term {
  enum class Kind {
    number,
    symbol,  ///< What the call or the token gives, or a dimension: `name`.
    state,   ///< The state `name` at `place`: "t-1", or "0" at the start of a chunk.
    add,
    subtract,
    negate,
    multiply,
    divide,
    power,     ///< args[0] to the power of `number`.
    call,      ///< The function `name`, of feature functions over the dimension `over`.
    contract,  ///< args[0] times args[1], summed over the dimension `over`, which both have.
    at,        ///< args[0] at the token `place`.
    tokenSum,  ///< args[0] summed over the tokens j of which `place` holds; all where it is empty.
    series,    ///< Always named, and defined by args[0] for the tokens of which `place` holds.
    inverse,   ///< (I - args[0])^-1 args[1], over the tokens of a chunk.
  };

  Kind kind;
  std::vector<int> args = {};
  std::string name = "", over = "", place = "";
  double number = 0;
  std::vector<std::string> dims = {};  ///< `token` and `source` first.

  bool has(const std::string& dim) const;
  /// `dims` without the tokens.
  std::vector<std::string> features() const;
};

/// Builds terms, in the simplest form that is plainly the same. What is labelled stays whole.
class Terms {
public:
  /// The dimensions of the variant, and the names that it uses.
  Terms(const std::vector<std::string>& dims, std::set<std::string> taken);

  const Term& operator[](int term) const { return all[term]; }
  int size() const { return int(all.size()); }

  int number(double value);
  int symbol(const std::string& name, std::vector<std::string> dims);
  int state(const std::string& name, const std::string& place, std::vector<std::string> dims);
  int add(int a, int b);
  int subtract(int a, int b);
  int negate(int a) { return scaled(-1, a); }
  int scaled(double factor, int a);
  /// The number that a term is a multiple of; `a` becomes what is left.
  double coefficient(int& a);
  int multiply(int a, int b);
  int divide(int a, int b);
  int call(const std::string& name, std::vector<int> args, const std::string& over = "");
  /// A feature function whose result has dimensions of its own.
  int call(const std::string& name, std::vector<int> args, const std::string& over,
           std::vector<std::string> dims);
  int sum(int a, const std::string& dim);
  int contract(int a, int b, const std::string& dim);
  int at(int a, const std::string& place);
  int tokenSum(int a, const std::string& condition);
  int inverse(int scores, int right);
  /// The series of this `hint` and `key`, named after the hint, to be defined once.
  int series(const std::string& hint, const std::vector<int>& key, const std::string& condition,
             std::vector<std::string> dims);
  /// Whether the sides of a contraction share no other dimension than that which is summed.
  bool isPlain(int contraction) const;
  void define(int series, int body) { all[series].args = {body}; }
  bool isDefined(int series) const { return !all[series].args.empty(); }

  /// "d.q" as "dq", where no other name is that.
  std::string plainName(const std::string& name) const;

  /// `hint` itself, or with the first number that makes it free; of "x" always with one.
  std::string freeName(const std::string& hint);

  /// Names a term as the `let` of the spec that it is, unless it is something named already.
  void label(int term, const std::string& name);
  /// Lets the state `name` be shown as `as`.
  void show(const std::string& name, const std::string& as) { aliases[name] = as; }
  std::string shown(const std::string& name) const;

  /// Names a term after `hint`; `fix` gives its final name, when the order of equations is known.
  void name(int term, const std::string& hint);
  void rename(int series, const std::string& hint);
  void fix(int term, const std::string& name);
  bool isNumbered(int term) const { return !unnumbered.contains(term); }

  bool isLabelling = false;           ///< While the form as written is read.
  std::map<int, std::string> labels;  ///< The `let`s of the spec.
  std::map<int, std::string> names;   ///< What is printed by a name, defined somewhere above.
  std::string i = "i", j = "j", last = "C";  ///< The token at hand, one before it, the last one.

private:
  int intern(Term term);
  int intern(Term::Kind kind, std::vector<int> args);
  int norm(int x, int root);
  int tokenCount(const std::string& condition);
  int softmax(int numerator, int divisor);
  std::vector<std::string> united(const std::vector<int>& args) const;
  bool isNumber(int a, double value) const;
  bool isCall(int a, const char* name) const;

  std::vector<Term> all;
  std::map<std::string, int> known;
  std::map<std::string, std::string> aliases;
  std::vector<std::string> order;
  std::set<std::string> taken;
  std::set<int> unnumbered;
};

}  // namespace lathe::tool
