// The adjoint of every variant of the library against the interpreter.
#include "tests/compiler/Specs.h"
#include "tests/cpu/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-5;

/// The gradient of a const may cancel, as that of the scale of a normalised output does: it is held
/// against the size that a sum of so many random terms has.
void expectConstsClose(const reference::Program& program, Results& found, Results& expected,
                       const Arguments& call) {
  for (const reference::Declaration& declaration : program.declarations) {
    if (declaration.kind != reference::Declaration::Kind::constant)
      continue;
    const std::string name = "d." + declaration.name;
    double terms = 0;
    for (const auto& [input, tensor] : call.inputs)
      if (input.starts_with("d.") && tensor.shape.size() > 3)
        terms += static_cast<double>(tensor.shape[1] * tensor.shape[3]);
    const Tensor& sum = expected.states.at(name);
    double square = 0;
    for (const double element : sum.data)
      square += element * element / static_cast<double>(sum.data.size());
    for (std::size_t i = 0; i < sum.data.size(); ++i)
      EXPECT_NEAR(found.states.at(name).data[i], sum.data[i],
                  3 * tolerance * std::sqrt(std::max(square, terms)))
          << name;
    found.states.erase(name);
    expected.states.erase(name);
  }
}

class CpuGradient : public testing::TestWithParam<std::string> {};

TEST_P(CpuGradient, AgreesWithTheInterpreter) {
  const CompiledVariant variant = compileLibrary(GetParam());
  const reference::Program& program = variant.gradient.program;
  for (const int tokens : {1, 7, 65, 1000}) {
    const std::map<std::string, int> dims =
        tokens == 65 ? sizesOf(variant, {5, 19, 3}) : sizesOf(variant, {32, 48, 16});
    const Arguments call =
        randomCall(program, logsOf(variant), {tokens < 1000 ? 2 : 1, tokens, 2}, dims);
    const Results oracle = reference::interpret(program, call, 1, 2);
    for (const int spacing : {0, 7}) {
      Results expected = oracle;
      CpuOptions options;
      options.spacing = spacing;
      options.isHeadFirst = spacing == 7;
      Results found = runOnCpu(program, call, options);
      expectConstsClose(program, found, expected, call);
      expectClose(found, expected, tolerance, GetParam() + ", T " + std::to_string(tokens));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Library, CpuGradient, testing::ValuesIn(libraryFolder()),
                         [](const auto& test) { return test.param; });

/// Specs that need what the library does not, both ways.
class CpuSpecs : public testing::TestWithParam<Named> {};

TEST_P(CpuSpecs, AgreeWithTheInterpreter) {
  const CompiledVariant variant = compileOne(GetParam().text);
  const std::map<std::string, int> dims = sizesOf(variant, {6, 18, 5});
  for (const reference::Program* program : {&forwardOf(variant), &variant.gradient.program}) {
    const Arguments call = randomCall(*program, logsOf(variant), {2, 33, 2}, dims);
    Results expected = reference::interpret(*program, call, 1, 1);
    Results found = runOnCpu(*program, call);
    if (program == &variant.gradient.program)
      expectConstsClose(*program, found, expected, call);
    expectClose(found, expected, tolerance, GetParam().name);
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, CpuSpecs, testing::ValuesIn(specs()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace lathe::test
