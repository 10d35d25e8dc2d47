// What one sweep computes for a token, cut into items: values that get memory of their own, new
// states, outputs. What stands between is an expression, evaluated wherever it is needed.
#pragma once

#include "compiler/cuda/GraphSweeps.h"

namespace lathe::cuda {

/// Something that the threads of a block compute and that others of them then read.
struct Item {
  enum class What {
    value,    ///< A value of at most one dimension, into its row of the token.
    state,    ///< The next value of a state of several dimensions, into registers.
    output,   ///< To the output's tensor.
    keep,     ///< To the workspace, for later sweeps.
    partial,  ///< A value in parts, one a warp ...
    whole,    ///< ... and from these into its row.
  };
  enum class How {
    elements,  ///< One thread an element of `space`.
    row,       ///< One warp a token: a reduction over `space`, which is one dimension.
    pass,      ///< Once over the registers of states, whose elements those of `space` are.
  };
  /// Something that has to be there first.
  struct Need {
    int item;
    bool own;      ///< Made by the thread that needs it.
    bool carried;  ///< From the token before.
  };

  What what;
  How how;
  Dims space;
  int value = -1;
  int operand = -1;            ///< Of a state or an output.
  bool ofAll = false;          ///< Parts that wait until all tokens of a block have theirs.
  std::set<int> touches = {};  ///< States in registers that it reads, old or new.
  std::vector<Need> needs = {};
};

/// The items of a sweep, and which values have rows.
class Items {
public:
  /// `columns`: the dimension that is spread over thread blocks; empty for none.
  Items(const Graph& graph, const GraphSweep& sweep, const std::string& columns);

  std::vector<Item> items;

  /// Whether a value of at most one dimension is read from its row.
  bool isRow(int value) const { return rows.count(value) > 0; }
  /// Of the dimensions of a pass, that which neighbouring lanes hold; the other is in steps.
  std::string columnOf(const Dims& space) const;
  const Columns& allColumns() const { return columns; }
  const Graph& graph;
  const GraphSweep& sweep;

private:
  void findNeeded();
  void findRows();
  bool isSimple(int user, int value) const;
  void findColumns();
  void add(Item item);
  void addItems();
  void addValue(int value);
  void findNeeds(Item& item) const;
  bool isCarried(int whole) const;
  void visit(int value, Item& item, bool own) const;
  void touch(int state, Item& item, bool own) const;
  bool touchesState(int value) const;
  int hostOf(int value) const;
  int itemOf(int value) const;

  std::string spread;
  std::set<int> needed, rows;
  Columns columns;
};

}  // namespace lathe::cuda
