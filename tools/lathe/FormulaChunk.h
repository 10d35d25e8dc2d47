// The operations of the chunk form as terms: token i of a chunk reads what the tokens j wrote.
#pragma once

#include "compiler/reference/Program.h"
#include "tools/lathe/FormulaTerm.h"

namespace lathe::tool {

class ChunkReader {
public:
  ChunkReader(const reference::Program& program, Terms& terms);

  /// The sum over all tokens of the chunk of the value `arg` of the program, whose term is `term`.
  int total(int arg, int term);

  /// Sets the terms of the results; `values` holds those of the arguments.
  void read(const reference::Instruction& instruction, std::vector<int>& values);

private:
  /// Which tokens j a token i reads, or with `transposed` is read by.
  struct Order {
    bool strict, reverse, transposed;
  };

  int cumulate(const reference::Instruction& instruction, int term);
  int runningMax(const reference::Instruction& instruction, const std::vector<int>& args);
  int scores(const reference::Instruction& instruction, const std::vector<int>& args);
  int apply(const reference::Instruction& instruction, const std::vector<int>& args);
  void solve(const reference::Instruction& instruction, std::vector<int>& values);

  /// G, with G[i] the sum of a log-decay up to token i.
  int running(int logDecay);
  /// What is left of token j at token i, as a factor; 1 without decay.
  int kept(int logDecay, Order order);
  int product(int weights, int logDecay, int values, Order order);
  std::string condition(Order order) const;
  std::string before(const std::string& token) const { return token + "-1"; }

  Terms& terms;
  std::vector<bool> isDecay;  ///< Of the values of the program.
};

}  // namespace lathe::tool
