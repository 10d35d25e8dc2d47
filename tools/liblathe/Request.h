// What lathe_prepare is asked for, checked.
#pragma once

#include "lathe/lathe.h"
#include "tools/liblathe/Variant.h"
#include "tuner/Workload.h"

namespace lathe::abi {

struct Request {
  lathe_pass pass = LATHE_FORWARD;
  bool isCuda = false;
  int device = 0;       ///< Of CUDA.
  Signature signature;  ///< Every dim of the variant.
  Shape shape;          ///< Sequences, tokens of each, heads.
};

/// Throws Failure.
Request readOptions(const Variant& variant, const lathe_options& options);

const char* name(lathe_pass pass);  ///< "forward"

/// Throws Failure where the first field of a struct of the caller is not its size.
void checkSize(const char* type, std::size_t given, std::size_t own);

}  // namespace lathe::abi
