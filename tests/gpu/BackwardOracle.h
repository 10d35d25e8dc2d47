// The gradients of a call in double precision, packed sequences among them.
#pragma once

#include "tests/gpu/Backward.h"

namespace lathe::test {

using Shape64 = std::vector<std::int64_t>;

std::int64_t countOf(const Shape64& shape);

/// The gradients of a call, by "d.x" and "final d.S".
using Expected = std::map<std::string, HostTensor>;

/// What `differentiate` says, sequence by sequence.
Expected gradientsOf(const BackwardCase& backward, const CompiledVariant& variant,
                     const Signature& signature, const HostCall& host);

}  // namespace lathe::test
