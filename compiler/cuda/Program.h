// The state-independent half of a variant as device code: what one thread computes from the scalars
// of a token, and what a warp computes from its vectors. Both families run the same two functions
// before they touch the state.
#pragma once

#include "compiler/cuda/Kernel.h"
#include "compiler/cuda/Text.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace lathe::cuda {

/// The two dimensions of a kernel: `key` is summed over when the state is read, `value` is spread
/// over thread blocks.
struct Axes {
  std::string key, value;

  bool isKey(const std::vector<std::string>& dims) const {
    return dims.size() == 1 && dims[0] == key;
  }
  bool isValue(const std::vector<std::string>& dims) const {
    return dims.size() == 1 && dims[0] == value;
  }
};

/// Whether a node is a number that needs no code: a literal, a `const`, the size of a dimension.
bool isLeafUniform(const Node& node);

/// What follows from the shape of the token program alone.
class Analysis {
public:
  Analysis(const Plan& plan);

  /// Whether a node changes with a state.
  bool stateDependent(int node) const { return dependent[node]; }
  /// Whether a node is the same for every token and head: literals, dimensions, consts.
  bool uniform(int node) const { return same[node]; }
  /// Whether one thread can compute a node from scalars.
  bool scalar(int node) const { return plain[node]; }
  /// Nodes from which `roots` are made, themselves included; stops at nodes for which `stop` holds
  /// (and includes those).
  std::set<int> closure(const std::vector<int>& roots, const std::function<bool(int)>& stop) const;

private:
  const Plan& plan;
  std::vector<char> dependent, same, plain;
};

/// Builds `struct Scalars`, `scalarProgram`, `struct Rows`, `mapRows` and `rowProgram` (which loads
/// rows and maps them) of a Variant, or its `struct Task`.
class Program {
public:
  Program(const Plan& plan, const Signature& signature, const Analysis& analysis, Axes axes,
          std::function<int(int)> tensorIndex, std::function<int(int)> constantIndex);

  /// Whether each task makes the scalars that it needs, so that none is kept for another's sake.
  bool byTask = false;
  /// Asks that a state-independent scalar be kept for later phases. Literals need no room.
  void keepScalar(int node);
  /// Asks that the row program write a state-independent vector (or a scalar, spread over `dims`)
  /// to memory. `pointer` is the C++ expression of the row's first element, `padded` its room,
  /// `first` the expression of the row's first column.
  void storeVector(int node, std::vector<std::string> dims, std::string pointer, std::string type,
                   int length, int padded, std::string first);
  /// Tells where a vector input's row is: a C++ expression of type pointer.
  std::function<std::string(int operand)> rowPointer;
  /// How many elements of a vector a thread block sees, and the expression of the first.
  std::function<int(const std::vector<std::string>&)> rowElements;
  std::function<std::string(const std::vector<std::string>&)> firstElement;

  /// How many lanes hold a row, eight neighbouring elements each; 0: a warp does, each lane every
  /// 32nd element.
  int rowLanes = 0;
  /// The expression of the slots of token 0.
  std::string slotBase = "shared + kSlotOffset";

  /// Operands that the row program loads row by row (inputs only).
  std::set<int> vectorInputs() const;
  /// The C++ expression of a kept scalar or a literal, where `slots` points at the token's first
  /// slot.
  std::string scalarExpression(int node) const;
  int slotCount() const { return int(slots.size()); }
  int slot(int node) const;
  bool hasRowProgram() const;
  /// Whether the scalar program has anything to keep.
  bool hasTokenScalars() const;

  void clearStores() { stores.clear(); }

  /// Writes the first five: scalars by one thread a token, vectors by one warp.
  void write(Text& text) const;
  /// Writes the last: all that is kept and stored of a token, cut into tasks that need nothing of
  /// each other, so that each can be a warp's. `Task::load` reads from memory, `Task::map` does the
  /// rest.
  void writeTasks(Text& text) const;
  /// Registers of a lane for what its tasks read.
  int taskRegisters() const;

private:
  struct Store {
    int node;
    std::vector<std::string> dims;
    std::string pointer, type, first;
    int length, padded;
  };
  std::string rowArray(const std::string& name, int length) const;
  std::string rowCount(int length) const;
  std::set<int> rowNodes() const;
  std::set<int> threadNodes() const;
  void writeScalars(Text& text) const;
  void writeScalarProgram(Text& text) const;
  using Argument = std::function<std::string(int node)>;
  void writeRows(Text& text) const;
  void writeMapRows(Text& text) const;
  void writeRowProgram(Text& text) const;
  /// The C++ expression that reads a scalar input or param.
  std::string scalarOperand(int node, const std::string& token) const;
  std::string rowElement(int node) const;
  void writeRowNode(Text& text, int node, const Argument& argument) const;
  void writeStore(Text& text, const Store& store, const Argument& argument) const;
  void writeRead(Text& loads, Text& maps, int node) const;
  std::set<int> taskOperands() const;
  /// What one task makes: nodes that are kept or stored.
  std::vector<std::vector<int>> tasks() const;

  const Plan& plan;
  const Signature& signature;
  const Analysis& analysis;
  Axes axes;
  std::function<int(int)> tensorIndex, constantIndex;
  std::vector<int> slots;  ///< The node of each slot.
  std::vector<Store> stores;
};

/// The code of one map, of arguments that `argument` names.
std::string mapCode(const Node& node, const std::function<std::string(int)>& argument);
std::string mapCode(Op op, const std::vector<std::string>& arguments);

/// Sets `name` to the sum (or the maximum) of `value` over i in [0, length) where `inside` holds.
void writeReduction(Text& text, bool largest, const std::string& name, const std::string& value,
                    const std::string& inside, const std::string& length);

/// The C++ name of a dtype in the templates.
const char* cudaType(DType dtype);

}  // namespace lathe::cuda
