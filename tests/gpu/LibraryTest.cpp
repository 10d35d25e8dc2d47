// The rest of the library: every family that takes a variant computes what its equation says.
#include "tests/gpu/Support.h"

#include <algorithm>

namespace lathe::test {
namespace {

bool isDeeplyTested(const std::string& name) {
  return std::find(std::begin(variantNames), std::end(variantNames), name) !=
         std::end(variantNames);
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
    if (isDeeplyTested(name))
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
          if (!variantNamed(name).plan.rules.derived.empty())
            one.K = 16;
          cases.push_back(one);
        }
  }
  expectRight(cases);
}

TEST_F(Rest, OfTheLibraryTakesPackedSequences) {
  std::vector<Case> cases;
  for (const std::string& name : libraryNames()) {
    if (isDeeplyTested(name))
      continue;
    for (const std::vector<std::int64_t>& starts :
         {std::vector<std::int64_t>{2, 2, 3, 68, 105}, {2, 2, 3, 11, 16}}) {
      Case one{.variant = name, .shape = {1, starts.back() + 5, 2}, .how = {}};
      one.how.cuSeqlens = starts;
      one.how.initialStates = !hasVectorState(name);
      if (!variantNamed(name).plan.rules.derived.empty())
        one.K = 16;
      for (const Case& each : everyFamily(one))
        cases.push_back(each);
    }
  }
  expectRight(cases);
}

}  // namespace
}  // namespace lathe::test
