// What the tests of the compiler share: specs from files, random calls, and the distance between
// results.
#pragma once

#include "compiler/Compile.h"
#include "compiler/plan/Dims.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

namespace lathe::test {

inline std::vector<CompiledVariant> compileText(std::string_view text) {
  Diagnostics diagnostics;
  std::vector<CompiledVariant> compiled = compile(text, "test.lathe", diagnostics);
  std::ostringstream printed;
  diagnostics.print(printed, "test.lathe", text);
  EXPECT_FALSE(diagnostics.hasErrors()) << printed.str();
  return compiled;
}

inline CompiledVariant compileOne(std::string_view text) {
  std::vector<CompiledVariant> compiled = compileText(text);
  if (compiled.size() != 1)
    throw std::runtime_error("the text holds no variant, or several");
  return compiled[0];
}

/// A variant of the library.
CompiledVariant compileLibrary(const std::string& name);

/// The names of all of them.
const std::vector<std::string>& library();

struct Extent {
  std::int64_t batch = 2, tokens = 37, heads = 4;
};

/// Small sizes, each of its own.
inline std::map<std::string, int> sizesFor(const CompiledVariant& variant) {
  const std::vector<int> sizes{4, 6, 3};
  std::map<std::string, int> dims;
  for (const std::string& dim : variant.plan.dims)
    dims[dim] = sizes[dims.size() % sizes.size()];
  for (const DerivedDim& derived : variant.plan.rules.derived)
    dims.erase(derived.dim);
  return dims;
}

/// A call with random normal numbers. `in log` gates are negative, of the strength `gate`; initial
/// vectors are positive, since many are what an output is divided by.
inline Arguments randomCall(const CompiledVariant& variant, const Extent& extent,
                            std::map<std::string, int> dims, double gate = 0.3,
                            bool initialStates = true, unsigned seed = 7) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Arguments call;
  call.dims = std::move(dims);
  std::map<std::string, int> sizes = call.dims;
  for (const DerivedDim& derived : variant.plan.rules.derived)
    sizes.try_emplace(derived.dim,
                      static_cast<int>(derivedSize(derived.function, sizes.at(derived.from))));
  for (const Operand& operand : variant.plan.operands) {
    Tensor tensor;
    if (operand.kind == Operand::Kind::input)
      tensor.shape = {extent.batch, extent.tokens, extent.heads};
    else if (operand.kind == Operand::Kind::param)
      tensor.shape = {extent.heads};
    else if (operand.kind == Operand::Kind::state && initialStates)
      tensor.shape = {extent.batch, extent.heads};
    else
      continue;
    for (const std::string& dim : operand.dims)
      tensor.shape.push_back(sizes.at(dim));
    const bool isDivisor = operand.kind == Operand::Kind::state && operand.dims.size() < 2;
    std::size_t count = 1;
    for (std::int64_t size : tensor.shape)
      count *= static_cast<std::size_t>(size);
    for (std::size_t i = 0; i < count; ++i)
      tensor.data.push_back(operand.log ? -gate * std::abs(normal(random))
                            : isDivisor ? std::abs(normal(random))
                                        : normal(random));
    call.inputs[operand.name] = std::move(tensor);
  }
  return call;
}

/// RMS of the difference over RMS of the expected value. Not a number wherever one side is not
/// finite.
inline double distance(const Tensor& found, const Tensor& expected) {
  EXPECT_EQ(found.shape, expected.shape);
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    difference += std::pow(found.data[i] - expected.data[i], 2);
    size += std::pow(expected.data[i], 2);
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

inline void expectClose(const Results& found, const Results& expected, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(found.outputs.size(), expected.outputs.size());
  ASSERT_EQ(found.states.size(), expected.states.size());
  for (const auto& [name, tensor] : expected.outputs)
    EXPECT_LE(distance(found.outputs.at(name), tensor), tolerance) << what << ", output " << name;
  for (const auto& [name, tensor] : expected.states)
    EXPECT_LE(distance(found.states.at(name), tensor), tolerance) << what << ", state " << name;
}

}  // namespace lathe::test
