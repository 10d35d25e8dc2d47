// Everything that `lathe explain` says of one variant.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Space.h"
#include "tools/lathe/ExplainBackward.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/Roofline.h"

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

namespace lathe::tool {

struct Explanation {
  struct Role {
    std::string role, formula;
  };

  std::string variant, kind;
  /// Of tools/lathe/Formula.h; `chunk` is empty without a chunk form.
  struct Forms {
    std::vector<std::string> normal, chunk, gradient;
  } formulas, latex;
  std::vector<Remark> remarks;
  std::string chunkTitle;
  bool hasChunkForm = false, isStabilised = false;
  std::vector<Role> roles;  ///< Of the scan family.
  std::string
      reverseState;  ///< One that goes in reverse, so that nothing can be run token by token.

  Family family = Family::scan;
  std::string arch;
  Signature signature;
  Shape shape;
  Candidates tiles;      ///< Empty where there is no kernel ...
  std::string noKernel;  ///< ... for this reason.
  int chunk = 0;         ///< The tokens of a chunk that `cost` and `gradientCost` mean.
  TokenCost cost, gradientCost;
  double stateBytes = 0;
  double callBytes = 0, callFlop = 0;  ///< Of the whole shape.
  Board board;
  double rooflineSeconds = 0;
  BackwardExplanation backward;
};

/// The shape is 8,4096,16 where it is not given. Throws UsageError, std::invalid_argument.
Explanation explainVariant(const CompiledVariant& variant, const KernelOptions& options);

void print(std::ostream& out, const Explanation& explanation);
/// The formulas alone, each form an align* of amsmath.
void printLatex(std::ostream& out, const Explanation& explanation);
nlohmann::json toJson(const Explanation& explanation);

}  // namespace lathe::tool
