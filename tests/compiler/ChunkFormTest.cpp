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
    expectClose(interpret(variant, call, chunk, 2), expected, tolerance,
                what + ", chunk " + std::to_string(chunk));
}

class Library : public testing::TestWithParam<std::string> {};

TEST_P(Library, ChunkFormIsTokenForm) {
  const CompiledVariant variant = compileLibrary(GetParam());
  for (std::int64_t tokens : {1, 2, 16, 37, 100})
    for (double gate : {0.0, 0.3, 30.0, 1000.0})
      for (bool initial : {false, true})
        expectSameInEveryForm(
            variant, randomCall(variant, {2, tokens, 2}, {{"K", 5}, {"V", 7}}, gate, initial),
            GetParam() + ", " + std::to_string(tokens) + " tokens, gate " + std::to_string(gate));
}

TEST_P(Library, ChunkFormHoldsAtTheSizesOfModels) {
  const CompiledVariant variant = compileLibrary(GetParam());
  expectSameInEveryForm(variant, randomCall(variant, {1, 150, 1}, {{"K", 64}, {"V", 128}}),
                        GetParam());
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

INSTANTIATE_TEST_SUITE_P(Variants, Specs, testing::ValuesIn(specs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lathe::test
