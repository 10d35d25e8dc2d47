// The adjoint of every variant of the library against the interpreter.
#include "tests/cpu/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-5;

class CpuGradient : public testing::TestWithParam<std::string> {};

TEST_P(CpuGradient, AgreesWithTheInterpreter) {
  const CompiledVariant variant = compileLibrary(GetParam());
  const reference::Program& program = variant.gradient.program;
  for (const int tokens : {1, 7, 65, 1000}) {
    const std::map<std::string, int> dims =
        tokens == 65 ? sizesOf(variant, {5, 19, 3}) : sizesOf(variant, {32, 48, 16});
    const Arguments call =
        randomCall(program, logsOf(variant), {tokens < 1000 ? 2 : 1, tokens, 2}, dims);
    const Results expected = reference::interpret(program, call, 1, 2);
    for (const int spacing : {0, 7}) {
      CpuOptions options;
      options.spacing = spacing;
      options.isHeadFirst = spacing == 7;
      expectClose(runOnCpu(program, call, options), expected, tolerance,
                  GetParam() + ", T " + std::to_string(tokens));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Library, CpuGradient, testing::ValuesIn(libraryFolder()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace lathe::test
