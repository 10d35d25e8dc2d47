// The interpreter: a variant in double precision, the oracle of every kernel. No MLIR.
#pragma once

#include "compiler/reference/Program.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lathe {

/// Row-major doubles.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<double> data;
};

/// What a call passes. Dimensions of a value are in the order of its declaration.
struct Arguments {
  std::map<std::string, int> dims;  ///< Of every dimension of the variant; derived ones may lack.
  /// Inputs [B, T, H', dims], params [H, dims], initial states [B, H, dims]. Heads of an input may
  /// be fewer: H' divides H, and head i reads head i / (H / H'). A state that is missing starts
  /// from zero.
  std::map<std::string, Tensor> inputs;
  std::map<std::string, double> constants;  ///< Of `const`s whose default is not meant.
};

struct Results {
  std::map<std::string, Tensor> outputs;  ///< [B, T, H, dims]
  std::map<std::string, Tensor> states;   ///< After the last token: [B, H, dims].
};

namespace reference {

/// Runs a program, over `threads` threads where there are several batches or heads. A chunked
/// program takes `chunk` tokens at a time, `chunk` >= 1; others go token by token. H is the largest
/// number of heads among the arguments. Throws std::invalid_argument where a tensor or a size is
/// missing, unknown, or of the wrong shape.
Results interpret(const Program& program, const Arguments& arguments, int chunk, int threads);

}  // namespace reference
}  // namespace lathe
