// Every variant of the library, forward, against the interpreter.
#include "tests/cpu/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-5;

class Forward : public testing::TestWithParam<std::string> {};

TEST_P(Forward, AgreesWithTheInterpreter) {
  const CompiledVariant variant = compileLibrary(GetParam());
  for (const int tokens : {1, 7, 65, 1000}) {
    for (const std::vector<int>& sizes : {std::vector{5, 19, 3}, std::vector{32, 48, 16}}) {
      if (tokens == 1000 && sizes[0] == 5)
        continue;
      Arguments call =
          randomCall(variant, {tokens < 1000 ? 2 : 1, tokens, 3}, sizesOf(variant, sizes));
      roundInputs(call, {});
      const Results expected = interpret(variant, call, 0, 2);
      for (const bool isHeadFirst : {false, true}) {
        CpuOptions options;
        options.isHeadFirst = isHeadFirst;
        options.slice = isHeadFirst ? 16 : 0;
        expectClose(runOnCpu(forwardOf(variant), call, options), expected, tolerance,
                    GetParam() + ", T " + std::to_string(tokens));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Library, Forward, testing::ValuesIn(libraryFolder()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace lathe::test
