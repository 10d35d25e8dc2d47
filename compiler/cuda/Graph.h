// The token program in its smallest steps: what Plan says of a recurrence is written out in maps
// and contractions, so that the general form has one kind of thing to schedule and to write.
#pragma once

#include "compiler/plan/Plan.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace lathe::cuda {

using Dims = std::vector<std::string>;

bool has(const Dims& dims, const std::string& dim);

/// One value of a token; `args` are earlier values.
struct Value {
  Node::Kind kind;  ///< Never affine.
  Op op = Op::add;
  std::vector<int> args = {};
  Dims dims = {};
  std::string name = {};  ///< The dimension that it is made over.
  double value = 0;
  int operand = -1;

  bool operator==(const Value&) const = default;
  bool isMap() const { return kind == Node::Kind::map; }
  /// Sums, maxima, contractions.
  bool isReduction() const {
    return kind == Node::Kind::sum || kind == Node::Kind::max || kind == Node::Kind::contract;
  }
  /// Each element is made of several of the argument's.
  bool isFeature() const {
    return kind == Node::Kind::rotate || kind == Node::Kind::taylor ||
           kind == Node::Kind::taylorAdjoint;
  }
  /// Spans two dimensions or more.
  bool isWide() const { return dims.size() > 1; }
  /// The dimensions of the elements from which a reduction is made.
  Dims space() const;
};

class Graph {
public:
  explicit Graph(const Plan& plan);

  const Plan& plan;
  std::vector<Value> values;
  std::map<int, int> carried;  ///< Of each state: the value that it takes to the next token; a map
                               ///< of that alone, with the name of the state.
  std::map<int, int> outputs;  ///< Of each output: its value.

  /// Whether it is the same for every token and head.
  bool isUniform(int value) const { return uniform[value]; }
  /// The states from which it is computed, old or new.
  const std::set<int>& statesOf(int value) const { return states[value]; }
  /// The state whose next value this is, or -1.
  int carrierOf(int value) const;
  /// The dimensions over which something is summed, or that are turned or expanded.
  std::set<std::string> mixed() const;

private:
  int add(Value value);
  int map(Op op, std::vector<int> args, Dims dims);
  int lower(const Node& node);
  int lowerRecurrence(const Recurrence& recurrence, int state);

  std::vector<int> lowered;  ///< The value of each node of the plan.
  std::vector<char> uniform;
  std::vector<std::set<int>> states;
};

}  // namespace lathe::cuda
