// The emitter of the step and sequential families: what is computed ahead for a block of tokens
// (EmitTokens.cpp), the code of one token, its state in registers (WriteTokens.cpp) and its sums
// over the lanes of a column (WriteSums.cpp), and the way of a state from and to memory
// (WriteTransfers.cpp).
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
  /// for each lane than to keep beside that vector.
  bool scaled(int node) const;
  /// Whether lanes of a warp are neighbours along the columns rather than along the channels.
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
  void writeState(Text& text);
  void writeTransfer(Text& text, bool load) const;
  std::vector<int> written() const;
  /// The C++ expression of where the kernel writes an operand: elements from its tensor's first.
  std::string target(int operand) const;
  void writeAim(Text& text) const;
  void writeAdvance(Text& text);
  void writeNode(Text& text, int node);
  void writeAffine(Text& text, int node);
  void writeDecays(Text& text, int affine);
  void writeReadAhead(Text& text, int contraction, int affine) const;
  void writeOutput(Text& text, int operand, const std::string& value) const;
  void writeSkip(Text& text) const;

  // WriteSums.cpp

  /// One sum (or maximum) over the channels of a column, each lane giving its part. All of one
  /// level are taken together.
  struct Sum {
    std::vector<std::string> dims;  ///< Of the result: none, or the value dimension.
    bool largest;
    std::string value;  ///< What is summed, in loops over the channels i and the columns c.
    int level;          ///< Sums that have to be known before: 0, or that of one of them plus 1.
    /// What it is: "w3_0 = factor17 * ", of which "w3_0" is declared.
    std::vector<std::pair<std::string, std::string>> results;
  };
  /// A vector over the channels as scalars of the token, "factor17 * " or nothing, times another
  /// node.
  struct Factored {
    std::string factor;
    int base;
  };
  Factored factored(int node) const;
  std::set<int> wholeNodes() const;
  void writeFactors(Text& text) const;
  /// Whether a term of an update is a vector over the channels times a row.
  bool isProduct(const Recurrence::Outer& term) const;
  /// The terms of an update that are one vector over the channels, `base`, times a row.
  struct Product {
    int base;
    std::string row;  ///< In loops over the columns.
    std::vector<std::string> dims;
  };
  std::vector<Product> products(int affine) const;
  std::vector<std::string> rowDims(int affine) const;
  static std::string rowName(int affine, int base) {
    return "u" + std::to_string(affine) + "_" + std::to_string(base);
  }
  void planSums();
  void planAffine(int node);
  void planContraction(int node);
  void addSum(const std::string& name, const std::string& factor, Sum sum);
  /// The affine node of which a contraction reads the new state, where it can be read off the old
  /// one, before the sums of the update itself are known; else -1.
  int readAhead(int contraction) const;
  int level(int node) const;
  void writeSums(Text& text, int level, bool largest) const;
  int sumWidth(int level, bool largest) const;
  int decayLevel(int affine) const;
  /// The part of a decay that differs between channels (dk), or the rest (dv): the sum of its
  /// logarithms, and the factor " * " in loops over its dimensions; both empty where there is none.
  struct Decay {
    std::string logSum, factor;
    std::vector<std::string> dims;
  };
  Decay decayOver(int affine, bool key) const;

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
  int slotOffset = 0, exchangeOffset = 0, targetOffset = 0;
  int splitWarps = 1;  ///< Warps that share a column.
  int sumPacks = 1;    ///< Of four values: what they exchange at once at most.
  std::vector<Sum> sums;
  std::map<int, int> levels;    ///< Of the nodes that are computed token by token.
  std::set<int> decaysWritten;  ///< Affine nodes.
};

}  // namespace lathe::cuda
