// A plan as the equations of one token: what the compiler understood, in the words of the spec.
#pragma once

#include "compiler/plan/Plan.h"

#include <map>
#include <string>
#include <vector>

namespace lathe::tool {

/// Prints nodes of one plan. S[t-1] is a state before this token, S[t] after it; what is used more
/// than once gets a name, x1, x2, ...
class Formulas {
public:
  explicit Formulas(const Plan& plan);

  /// One line each: the consts, the named values, the states, the outputs.
  std::vector<std::string> lines() const;

  /// A node by its name if it has one, else as an expression.
  std::string text(int node) const;

  /// "exp(g)", or "" without decay.
  std::string decay(const Recurrence& recurrence) const;

private:
  void count(int node);
  std::string oldState(int operand) const;
  std::string inner(int node, int context) const;
  std::string print(const Node& node, int context) const;
  std::string recurrence(const Recurrence& recurrence) const;

  const Plan& plan;
  std::vector<int> uses;
  std::map<int, std::string> names;
};

}  // namespace lathe::tool
