// Decays in the log domain: what the logarithm of a decay factor is, where the factor is certain to
// be positive.
#pragma once

#include "compiler/dialect/Build.h"

namespace lathe {

/// The natural logarithm of `factor`, built at the builder's insertion point; null where `factor`
/// is not provably positive. exp(e) gives e, sigmoid(e) gives logsigmoid(e), 1 - sigmoid(e) gives
/// logsigmoid(-e), products and quotients give sums and differences; no exponential is formed only
/// to take its logarithm.
mlir::Value logarithm(TokenBuilder& builder, mlir::Value factor);

/// Whether `value` is above zero for every input.
bool isPositive(mlir::Value value);

/// Whether a bound above `value` is known whatever the inputs are: a log-decay, a number, what is
/// the same for every token, and what bounded functions make of the rest.
bool isBounded(mlir::Value value);

}  // namespace lathe
