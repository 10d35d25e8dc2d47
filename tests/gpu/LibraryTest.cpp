// The rest of the library: every family that takes a variant computes what its equation says.
#include "tests/gpu/Support.h"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>

namespace lathe::test {
namespace {

/// The variants that no kernel runs yet: states in reverse, pipelines of two matrices, maps of more
/// than the token emitter takes.
const std::vector<std::string> withoutKernel{"abc",      "based", "gated_output", "gsa",
                                             "hedgehog", "mala",  "relu_linear",  "vig"};

bool isDeeplyTested(const std::string& name) {
  return std::find(std::begin(variantNames), std::end(variantNames), name) !=
         std::end(variantNames);
}

std::string whyNoKernel(const std::string& name, Family family) {
  try {
    const Case one{.variant = name, .family = family};
    candidates(variantNamed(name).plan, family, signatureOf(one), deviceInfo(device).limits, 1);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Initial vectors are divided by in most variants; they start from zero, as a sequence does.
bool hasVectorState(const std::string& name) {
  const std::vector<Operand>& operands = variantNamed(name).plan.operands;
  return std::any_of(operands.begin(), operands.end(), [](const Operand& operand) {
    return operand.kind == Operand::Kind::state && operand.dims.size() < 2;
  });
}

using Rest = GpuTest;

TEST_F(Rest, OfTheLibraryIsRight) {
  std::vector<Case> cases;
  for (const std::string& name : libraryNames()) {
    if (isDeeplyTested(name) || testing::Matches(testing::Contains(name))(withoutKernel))
      continue;
    for (const std::int64_t tokens : {3, 100})
      for (const Family family : familiesOf(name, tokens))
        for (const DType dtype : {DType::bf16, DType::f32}) {
          Case one{.variant = name,
                   .family = family,
                   .dtype = dtype,
                   .shape = {2, tokens, 2},
                   .how = {}};
          one.how.initialStates = !hasVectorState(name);
          cases.push_back(one);
        }
  }
  expectRight(cases);
}

TEST_F(Rest, OfTheLibraryTakesPackedSequences) {
  std::vector<Case> cases;
  for (const std::string& name : libraryNames()) {
    if (isDeeplyTested(name) || testing::Matches(testing::Contains(name))(withoutKernel))
      continue;
    for (const std::vector<std::int64_t>& starts :
         {std::vector<std::int64_t>{2, 2, 3, 68, 105}, {2, 2, 3, 11, 16}}) {
      Case one{.variant = name, .shape = {1, starts.back() + 5, 2}, .how = {}};
      one.how.cuSeqlens = starts;
      one.how.initialStates = !hasVectorState(name);
      for (const Case& each : everyFamily(one))
        cases.push_back(each);
    }
  }
  expectRight(cases);
}

TEST_F(Rest, OfTheLibraryHasNoKernelAndSaysSo) {
  for (const std::string& name : withoutKernel)
    EXPECT_NE(whyNoKernel(name, Family::sequential), "") << name;
}

}  // namespace
}  // namespace lathe::test
