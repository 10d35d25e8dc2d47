// States as they are passed: in either order, of any dtype, as rows of a pool.
#include "tests/gpu/Support.h"
#include "tuner/Sequences.h"

#include <cmath>

namespace lathe::test {
namespace {

using States = VariantTest;

std::vector<Case> operator+(std::vector<Case> a, const std::vector<Case>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A case for each family's own number of tokens, changed by `change`, in every form.
template <typename Change>
std::vector<Case> everyLength(const std::string& variant, const Change& change) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {5, 150}) {
    Case one{.variant = variant, .shape = {3, tokens, 4}, .how = {}};
    change(one);
    cases = cases + everyFamily(one);
  }
  return cases;
}

TEST_P(States, LieInEitherOrder) {
  std::vector<Case> cases;
  for (auto [first, last] : {std::pair{true, true}, {true, false}, {false, true}})
    for (DType type : {DType::f32, DType::bf16, DType::f16})
      for (auto [K, V] : {std::pair{64, 64}, {128, 64}, {96, 40}})
        cases = cases + everyLength(variant(), [&](Case& one) {
                  one.placement.exchangedInitial = first;
                  one.placement.exchangedFinal = last;
                  one.stateType = type;
                  one.K = K, one.V = V;
                });
  expectRight(cases);
}

TEST_P(States, LieInEitherOrderUnaligned) {
  expectRight(everyLength(variant(), [](Case& one) {
    one.placement.exchangedInitial = one.placement.exchangedFinal = true;
    one.placement.offset = 1;
    one.stateType = DType::bf16;
  }));
}

TEST_P(States, AreRowsOfAPool) {
  std::vector<Case> cases;
  for (bool initial : {true, false})
    for (bool exchanged : {false, true})
      for (bool wide : {false, true})
        for (DType type : {DType::f32, DType::bf16})
          cases = cases + everyLength(variant(), [&](Case& one) {
                    one.how.initialStates = initial;
                    one.how.slots = {6, 0, 3};
                    one.how.pool = 8;
                    one.placement.exchangedInitial = one.placement.exchangedFinal = exchanged;
                    one.placement.wideLists = wide;
                    one.stateType = type;
                  });
  expectRight(cases);
}

TEST_P(States, OfAPoolInPlace) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {1, 3})
    for (bool exchanged : {false, true})
      for (DType type : {DType::f32, DType::bf16})
        for (std::int64_t batch : {1, 40}) {
          Case one{
              .variant = variant(), .family = Family::step, .shape = {batch, tokens, 8}, .how = {}};
          one.how.pool = 100;
          for (std::int64_t i = 0; i < batch; ++i)
            one.how.slots.push_back((i * 37 + 11) % one.how.pool);
          one.placement.inPlace = true;
          one.placement.exchangedFinal = exchanged;
          one.stateType = type;
          cases.push_back(one);
        }
  expectRight(cases);
}

/// Padding of a batch: it has no row, and the others have theirs.
TEST_P(States, OfAPoolWithSlotsThatAreNone) {
  const Plan& plan = variantNamed(variant()).plan;
  for (std::int64_t tokens : {1, 100}) {
    Case one{.variant = variant(), .shape = {4, tokens, 2}, .how = {}};
    one.how.slots = {-1, 5, -7, 0};
    one.how.pool = 6;
    for (const Case& each : everyFamily(one)) {
      const std::shared_ptr<const Reference> reference = referenceOf(each);
      const Signature signature = signatureOf(each);
      DeviceCall call(plan, signature, each.shape, reference->host);
      const HostResult found = runTwice(*prepare(each), call).first;
      for (const std::int64_t i : {1, 3}) {
        const HostSequence sequence = sequenceAt(reference->host, each.shape, i);
        EXPECT_EQ(judge(plan, signature, resultOf(found, sequence),
                        resultOf(reference->expected, sequence))
                      .reason,
                  "")
            << describe(each) << ", sequence " << i;
      }
      for (const auto& [name, tensor] : found.outputs)
        for (double x : tensor.data)
          ASSERT_TRUE(std::isfinite(x)) << describe(each) << ", output " << name;
    }
  }
}

TEST_P(States, OfPackedSequencesInAPool) {
  Case one{.variant = variant(), .shape = {1, 24, 4}, .how = {}};
  one.how.cuSeqlens = {0, 8, 8, 9, 15, 24};
  one.how.slots = {4, 9, 0, 7, 2};
  one.how.pool = 10;
  std::vector<Case> cases = everyFamily(one);
  one.how.cuSeqlens = {0, 70, 70, 71, 200, 264};
  one.shape.tokens = 264;
  expectRight(cases + everyFamily(one));
}

INSTANTIATE_TEST_SUITE_P(Gpu, States, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
