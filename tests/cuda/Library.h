// The variants of the library, compiled once for a test binary, and the calls that the tests make
// of them.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Space.h"
#include "compiler/plan/Dims.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

namespace lathe::test {

inline const std::vector<std::string> kVariants = {"linear_attention", "retnet", "mamba2", "gla",
                                                   "gated_delta_net"};

inline Plan planOf(const std::string& text, const std::string& name) {
  Diagnostics diagnostics;
  std::vector<CompiledVariant> variants = compile(text, name + ".lathe", diagnostics);
  std::ostringstream messages;
  diagnostics.print(messages, name + ".lathe", text);
  if (variants.empty())
    throw std::runtime_error(messages.str());
  return variants.front().plan;
}

inline std::string libraryText(const std::string& name) {
  std::ifstream file(std::string(LATHE_SOURCE_DIR) + "/variants/" + name + ".lathe");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Plan libraryPlan(const std::string& name) { return planOf(libraryText(name), name); }

/// Why there is no such kernel.
inline std::string refusal(const Plan& plan, Family family, const Signature& signature,
                           const Tile& tile) {
  try {
    emit(plan, family, signature, tile);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

/// Inputs and outputs of `dtype`, params and states in fp32.
inline Signature signatureOf(const Plan& plan, int k, int v, DType dtype = DType::bf16) {
  Signature signature;
  signature.dims = {{"K", k}, {"V", v}};
  signature.compute = dtype;
  for (const Operand& operand : plan.operands)
    signature.dtypes.push_back(
        operand.kind == Operand::Kind::input || operand.kind == Operand::Kind::output ? dtype
                                                                                      : DType::f32);
  return signature;
}

/// The names of the files in variants/, sorted.
inline std::vector<std::string> libraryNames() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(LATHE_SOURCE_DIR) + "/variants"))
    names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// All dimensions of one size, but those from which larger ones are derived: at most 16.
inline Signature librarySignature(const Plan& plan, int size, DType dtype = DType::bf16) {
  Signature signature = signatureOf(plan, size, size, dtype);
  signature.dims.clear();
  const std::vector<DerivedDim>& derived = plan.rules.derived;
  for (const std::string& dim : plan.dims) {
    if (std::any_of(derived.begin(), derived.end(),
                    [&](const DerivedDim& one) { return one.dim == dim; }))
      continue;
    const bool isSmall = std::any_of(derived.begin(), derived.end(),
                                     [&](const DerivedDim& one) { return one.from == dim; });
    signature.dims[dim] = isSmall ? std::min(size, 16) : size;
  }
  signature.dims = completeDims(plan.variant, plan.rules, signature.dims);
  return signature;
}

}  // namespace lathe::test
