// What a program costs, counted from its instructions: the same for every form, and for gradients.
#pragma once

#include "compiler/reference/Program.h"

#include <functional>
#include <map>
#include <string>

namespace lathe::tool {

/// FLOP for each token and head: multiplications and additions, functions counted as one. Of a
/// chunked program in chunks of `chunk` tokens, of which a token reads those before it. What is
/// the same for all tokens is not counted. `sizes` holds every dimension.
double flopOf(const reference::Program& program, const std::map<std::string, int>& sizes,
              int chunk);

/// Bytes for each token and head: what is given for each token read once, what results written
/// once. `elementBytes` is asked with the names of the spec, of a gradient with that of what it is
/// the gradient of.
double bytesOf(const reference::Program& program, const std::map<std::string, int>& sizes,
               const std::function<int(const std::string&)>& elementBytes);

}  // namespace lathe::tool
