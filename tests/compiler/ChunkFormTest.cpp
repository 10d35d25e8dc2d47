// The chunk form and the normal form compute what the spec says, whatever the chunk.
#include "tests/compiler/Specs.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-12;

/// Every form and chunk against the token form of the interpreter.
void expectSameInEveryForm(const CompiledVariant& variant, const Arguments& call,
                           const std::string& what) {
  const Results expected = interpret(variant, call, 0, 2);
  for (const auto& [name, tensor] : expected.outputs)
    for (double number : tensor.data)
      ASSERT_TRUE(std::isfinite(number)) << what;
  expectClose(reference::interpret(variant.normal.program, call, 0, 1), expected, tolerance,
              what + ", normal form");
  for (int chunk : {1, 3, 16, 64})
    if (variant.has(Stage::chunk))
      expectClose(interpret(variant, call, chunk, 2), expected, tolerance,
                  what + ", chunk " + std::to_string(chunk));
}

/// Sizes as models have them.
std::map<std::string, int> modelSizes(const CompiledVariant& variant) {
  std::map<std::string, int> dims = sizesFor(variant);
  for (auto& [dim, size] : dims)
    size = !variant.plan.rules.derived.empty() && dim == "K" ? 8 : dim == "V" ? 128 : 64;
  return dims;
}

class Library : public testing::TestWithParam<std::string> {};

TEST_P(Library, ChunkFormIsTokenForm) {
  const CompiledVariant variant = compileLibrary(GetParam());
  for (std::int64_t tokens : {1, 2, 16, 37, 100})
    for (double gate : {0.0, 0.3, 30.0, 1000.0})
      for (bool initial : {false, true})
        expectSameInEveryForm(
            variant, randomCall(variant, {2, tokens, 2}, sizesFor(variant), gate, initial),
            GetParam() + ", " + std::to_string(tokens) + " tokens, gate " + std::to_string(gate));
}

TEST_P(Library, ChunkFormHoldsAtTheSizesOfModels) {
  const CompiledVariant variant = compileLibrary(GetParam());
  expectSameInEveryForm(variant, randomCall(variant, {1, 150, 1}, modelSizes(variant)), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Variants, Library, testing::ValuesIn(library()),
                         [](const auto& info) { return info.param; });

class Specs : public testing::TestWithParam<Named> {};

TEST_P(Specs, ChunkFormIsTokenForm) {
  const CompiledVariant variant = compileOne(GetParam().text);
  ASSERT_TRUE(variant.has(Stage::chunk));
  for (std::int64_t tokens : {0, 1, 19, 64, 70})
    for (double gate : {0.3, 50.0})
      expectSameInEveryForm(variant, randomCall(variant, {2, tokens, 2}, sizesFor(variant), gate),
                            GetParam().name);
}

/// With a stabiliser the states hold S exp(-m), and what is read is what the spec says.
TEST(Stabilised, FormsAreTheSpecAndStayFinite) {
  for (const std::string name : {"mlstm", "lightnet", "abc"}) {
    const CompiledVariant variant = compileLibrary(name);
    ASSERT_TRUE(variant.isStabilised);
    Arguments call = randomCall(variant, {2, 37, 2}, sizesFor(variant), 0.3, false);
    const Results written = reference::interpret(variant.token.program, call, 0, 1);
    for (int chunk : {0, 1, 16}) {
      const Results found = interpret(variant, call, chunk, 1);
      for (const auto& [output, tensor] : written.outputs)
        EXPECT_LE(distance(found.outputs.at(output), tensor), tolerance) << name << ", " << chunk;
    }
    // exp of these overflows a double.
    for (const std::string gate : {"i", "k", "s"})
      if (call.inputs.contains(gate) && (gate != "k" || name == "lightnet"))
        for (double& element : call.inputs[gate].data)
          element = 900 + 30 * element;
    const Results expected = interpret(variant, call, 0, 1);
    for (const auto& [output, tensor] : expected.outputs)
      for (double element : tensor.data)
        ASSERT_TRUE(std::isfinite(element)) << name;
    for (int chunk : {1, 16})
      expectClose(interpret(variant, call, chunk, 1), expected, 1e-10, name);
  }
}

TEST(Stabilised, NotWhereNothingDividesByTheGate) {
  const CompiledVariant variant = compileOne(R"(variant v(K, V) {
    input q[K], k[K], v[V], i
    state S[K, V]
    S <- S + exp(i) * k * v
    output o[V] = q @ S
  })");
  EXPECT_FALSE(variant.isStabilised);
  ASSERT_FALSE(variant.plan.remarks.empty());
  EXPECT_EQ(
      variant.plan.remarks[0].text,
      "nothing keeps the gate that writes to S finite: it is an exponential, and what is read "
      "from the state is not divided by what it wrote");
  EXPECT_EQ(variant.plan.remarks[0].line, 4);
}

INSTANTIATE_TEST_SUITE_P(Variants, Specs, testing::ValuesIn(specs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lathe::test
