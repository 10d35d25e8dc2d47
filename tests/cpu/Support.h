// What the tests of the CPU target share: calls of the interpreter, run by a kernel, and compared.
#pragma once

#include "compiler/cpu/Cpu.h"
#include "tests/compiler/Support.h"

namespace lathe::test {

/// How a call of the interpreter becomes one of a kernel.
struct CpuOptions {
  std::map<std::string, DType> dtypes;
  bool isHeadFirst = false;  ///< [B, H, T, dims] in memory, with room between rows.
  int threads = 2, slice = 0, spacing = 0;
  std::vector<std::int64_t> lengths;  ///< Of packed sequences.
};

/// The names of all variants of the library, from its folder.
std::vector<std::string> libraryFolder();

/// The dimensions of a variant, with these sizes in turn.
std::map<std::string, int> sizesOf(const CompiledVariant& variant, const std::vector<int>& sizes);

/// What the CPU target runs forward: as written, but for gates that have to be kept finite.
inline const reference::Program& forwardOf(const CompiledVariant& variant) {
  return variant.isStabilised ? variant.normal.program : variant.token.program;
}

/// `value` rounded to the dtype.
double rounded(double value, DType dtype);

/// Rounds the inputs and params of a call to their dtypes, so that both sides see the same.
void roundInputs(Arguments& call, const std::map<std::string, DType>& dtypes);

/// A random call of any program, in fp32; the inputs and params `logs` lie below zero. States of
/// params and consts, in which an adjoint sums up their gradients, start from zero.
Arguments randomCall(const reference::Program& program, const std::vector<std::string>& logs,
                     const Extent& extent, const std::map<std::string, int>& dims);

/// The inputs and params of a variant that are `in log`.
std::vector<std::string> logsOf(const CompiledVariant& variant);

/// Runs the program on the arguments.
Results runOnCpu(const reference::Program& program, const Arguments& call,
                 const CpuOptions& options = {});

}  // namespace lathe::test
