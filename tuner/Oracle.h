// The interpreter as tuning and `lathe run` call it.
#pragma once

#include "compiler/Compile.h"
#include "tuner/Tuner.h"

namespace lathe {

/// What a call computes, in double precision over all cores: token by token where `chunk` is 0,
/// else in the chunk form; packed sequences one by one. Throws std::invalid_argument as the
/// interpreter does.
HostResult interpretCall(const CompiledVariant& variant, const std::map<std::string, int>& dims,
                         const Shape& shape, const HostCall& call,
                         const std::map<std::string, float>& constants, int chunk);

/// Holds a copy of the variant.
Oracle oracleOf(const CompiledVariant& variant);

/// Of a program that runs a token at a time, of which it holds a copy.
Oracle oracleOf(const reference::Program& program);

/// Of CompiledVariant::backward: the adjoint program, whose outputs are gradients.
Oracle adjointOracleOf(const CompiledVariant& variant);

}  // namespace lathe
