// Between the arrays of an .npz file and the tensors of a call.
#pragma once

#include "compiler/reference/Interpreter.h"
#include "tools/lathe/Npz.h"
#include "tuner/Workload.h"

#include <map>
#include <string>

namespace lathe::tool {

/// What an .npz file asks for.
struct FileCall {
  HostCall host;
  Shape shape;
  std::map<std::string, int> dims;         ///< By the shapes of the arrays.
  std::map<std::string, float> constants;  ///< Arrays without axes that are named as a `const` is.
  bool isHalf = false;                     ///< Every input is float16.
  bool isDouble = false;                   ///< Every input is float64.
};

/// The arrays by the names of the spec: inputs [B,T,H,dims] or, with Layout::bhtd, [B,H,T,dims];
/// params [H,dims]; states, which may be missing, [B,H,dims]; consts, which may be missing, without
/// axes. An array `cu_seqlens` [N+1] of integers packs N sequences into the tokens of B=1; states
/// are [N,H,dims] then. Throws Error, with the name and the shape that would be accepted, for what
/// is missing, unknown or of another shape.
FileCall callOf(const Plan& plan, const Arrays& arrays, Layout layout);

/// Outputs and final states under their names, an output in `layout`; `descr` is their dtype.
Arrays arraysOf(const HostResult& result, Layout layout, const std::string& descr);

/// Rounds every tensor to the dtype of its operand: what a kernel sees.
void roundTo(const Plan& plan, const Signature& signature, HostCall& call);

}  // namespace lathe::tool
