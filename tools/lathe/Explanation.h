// Everything that `lathe explain` says of one variant.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Space.h"
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
  std::vector<std::string> formulas;  ///< Of tools/lathe/Formula.h.
  std::vector<Remark> remarks;
  bool hasChunkForm = false;
  std::vector<Role> roles;  ///< Of the scan family.
  std::string
      reverseState;  ///< One that goes in reverse, so that nothing can be run token by token.

  Family family = Family::scan;
  std::string arch;
  Signature signature;
  Shape shape;
  Candidates tiles;      ///< Empty where there is no kernel ...
  std::string noKernel;  ///< ... for this reason.
  TokenCost cost;
  double stateBytes = 0;
  double callBytes = 0, callFlop = 0;  ///< Of the whole shape.
  Board board;
  double rooflineSeconds = 0;
};

/// The shape is 8,4096,16 where it is not given. Throws UsageError, std::invalid_argument.
Explanation explainVariant(const CompiledVariant& variant, const KernelOptions& options);

void print(std::ostream& out, const Explanation& explanation);
nlohmann::json toJson(const Explanation& explanation);

}  // namespace lathe::tool
