// From the programs of a variant, and its plan, to equations between terms.
#pragma once

#include "compiler/Compile.h"
#include "tools/lathe/FormulaTerm.h"

namespace lathe::tool {

/// left = right, of a state or an output; with `overTokens` the sum of right over the tokens.
struct Equation {
  int left, right;
  bool overTokens = false;
};

/// Terms for all forms of `variant`, with the labels of its lets.
Terms termsOf(const CompiledVariant& variant);

/// What a form computes: the consts, the states, the outputs. Of an adjoint (derive-gradient): the
/// states of the adjoint, the gradients of the inputs, those of the params and consts.
std::vector<Equation> equationsOf(const reference::Program& program, Terms& terms);

/// The term of each node of a plan.
std::vector<int> termsOf(const Plan& plan, Terms& terms);

}  // namespace lathe::tool
