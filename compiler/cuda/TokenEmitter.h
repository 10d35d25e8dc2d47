// The emitter of the step and sequential families: what is computed ahead for a block of tokens
// (EmitTokens.cpp), and the code of one token, its state in registers (WriteTokens.cpp).
#pragma once

#include "compiler/cuda/Families.h"

#include <algorithm>

namespace lathe::cuda {

class TokenEmitter {
public:
  TokenEmitter(const Plan& plan, Family family, const Signature& signature, const Tile& tile);
  KernelSource emit();

private:
  bool hasKey(const std::vector<std::string>& dims) const {
    return std::count(dims.begin(), dims.end(), axes.key) > 0;
  }
  bool hasValue(const std::vector<std::string>& dims) const {
    return std::count(dims.begin(), dims.end(), axes.value) > 0;
  }
  int dim(const std::string& name) const { return name.empty() ? 1 : signature.dims.at(name); }
  /// Whether a node is computed token by token rather than ahead, for a block of tokens.
  bool late(int node) const {
    return analysis.stateDependent(node) || plan.nodes[node].dims.size() > 1 || scaled(node);
  }
  /// Whether a node is one vector with scalars added or multiplied, which costs less to do again
  /// for each lane of a step than to keep beside that vector.
  bool scaled(int node) const;
  /// Whether lanes of a warp are neighbours along the columns rather than along the channels. Not
  /// with a normaliser: its sums, over all columns of a head at once, would pass through more
  /// warps.
  bool columnsFirst() const;
  void check() const;
  /// Thread blocks that a multiprocessor should have room for: what the state and the vectors of a
  /// token need of its registers decides, as bytes in flight are what a step lives on.
  int residentBlocks() const;
  void prepare();
  std::set<int> lateNodes() const;
  std::vector<int> argumentsOf(int node) const;
  std::string argument(int node) const;
  /// An element of an array over `dims`, in loops over the channels i and the columns c.
  std::string element(const std::string& name, const std::vector<std::string>& dims) const;
  void declare(Text& text, const std::string& name, const std::vector<std::string>& dims) const;
  void loops(Text& text, const std::vector<std::string>& dims) const;
  void writeState(Text& text) const;
  void writeTransfer(Text& text, bool load) const;
  void writeAdvance(Text& text) const;
  void writeNode(Text& text, int node) const;
  void writeAffine(Text& text, int node) const;
  void writeReduced(Text& text, const std::string& name, const std::vector<std::string>& dims,
                    bool largest, const std::string& value) const;
  void writeOutput(Text& text, int operand) const;

  const Plan& plan;
  const Family family;
  const Signature& signature;
  const Tile& tile;
  Analysis analysis;
  Axes axes;
  KernelSource kernel;
  Program program;
  int paddedK = 1;
  std::vector<int> roots;
  std::map<int, int> ahead;  ///< Offset of the rows of each vector that is computed ahead.
  SharedLayout layout;
  int slotOffset = 0, exchangeOffset = 0;
  int splitWarps = 1;  ///< Warps that share a column.
};

}  // namespace lathe::cuda
