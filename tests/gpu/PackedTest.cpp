// Packed sequences (cu_seqlens), whatever their lengths, in every family and form.
#include "runtime/driver/Cuda.h"
#include "tests/gpu/Support.h"
#include "tuner/Sequences.h"

#include <limits>

namespace lathe::test {
namespace {

using Packed = VariantTest;
using Starts = std::vector<std::int64_t>;

/// Empty and single tokens, one less and more than a chunk, many chunks; tokens before the first
/// and behind the last.
const Starts mixed{3, 3, 4, 67, 131, 196, 196, 197, 500};
constexpr std::int64_t mixedTokens = 510;
/// What a step takes.
const Starts few{1, 2, 2, 10, 11, 16, 24};
constexpr std::int64_t fewTokens = 29;

/// A case for both, changed by `change`, in every family and form.
template <typename Change>
std::vector<Case> everyList(const std::string& variant, const Change& change) {
  std::vector<Case> cases;
  for (const auto& [starts, tokens] : {std::pair{mixed, mixedTokens}, {few, fewTokens}}) {
    Case one{.variant = variant, .shape = {1, tokens, 4}, .how = {}};
    one.how.cuSeqlens = starts;
    change(one);
    for (const Case& each : everyFamily(one))
      cases.push_back(each);
  }
  return cases;
}

std::vector<Case> operator+(std::vector<Case> a, const std::vector<Case>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_P(Packed, LayoutsAndWidthsOfLists) {
  std::vector<Case> cases;
  for (Layout layout : {Layout::bthd, Layout::bhtd})
    for (int gap : {0, 3, 8})
      for (bool wide : {false, true})
        cases = cases + everyList(variant(), [&](Case& one) {
                  one.placement.layout = layout;
                  one.placement.gap = gap;
                  one.placement.wideLists = wide;
                });
  expectRight(cases);
}

TEST_P(Packed, DtypesAndDims) {
  std::vector<Case> cases;
  for (DType dtype : {DType::bf16, DType::f16, DType::f32})
    for (auto [K, V] : {std::pair{64, 64}, {128, 128}, {100, 60}})
      cases = cases + everyList(variant(), [&](Case& one) {
                one.dtype = dtype;
                one.K = K, one.V = V;
                one.shape.heads = 2;
              });
  expectRight(cases);
}

TEST_P(Packed, WithAndWithoutStates) {
  std::vector<Case> cases;
  for (bool initial : {false, true})
    for (bool final : {false, true})
      for (DType type : {DType::f32, DType::bf16})
        cases = cases + everyList(variant(), [&](Case& one) {
                  one.how.initialStates = initial;
                  one.placement.finalStates = final;
                  one.stateType = type;
                });
  expectRight(cases);
}

TEST_P(Packed, StrongGatesAndRepeatedKeys) {
  expectRight(everyList(variant(), [](Case& one) {
    one.how.gateScale = 70;
    one.how.repeatedKeys = true;
  }));
}

TEST_P(Packed, GroupedHeads) {
  const bool mamba = variant() == "mamba2";
  expectRight(everyList(variant(), [&](Case& one) {
    one.how.heads = {{mamba ? "C" : "q", 2}, {mamba ? "B" : "k", 2}};
  }));
}

TEST_P(Packed, ManySequences) {
  std::vector<Case> cases;
  for (std::int64_t length : {1, 5, 70}) {
    Case one{.variant = variant(), .shape = {1, 300 * length, 2}, .how = {}};
    for (std::int64_t i = 0; i <= 300; ++i)
      one.how.cuSeqlens.push_back(i * length);
    cases = cases + everyFamily(one);
  }
  expectRight(cases);
}

TEST_P(Packed, OnlyEmptySequencesCarryTheirStates) {
  std::vector<Case> cases;
  for (std::int64_t tokens : {0, 3}) {
    Case one{.variant = variant(), .shape = {1, tokens, 2}, .how = {}};
    one.how.cuSeqlens = {tokens, tokens, tokens, tokens};
    cases = cases + everyFamily(one);
  }
  expectRight(cases);
}

TEST_P(Packed, NoSequencesAtAll) {
  Case one{.variant = variant(), .shape = {1, 5, 2}, .how = {}};
  one.how.cuSeqlens = {2};
  expectRight(everyFamily(one));
}

/// Numbers of a neighbour would go unnoticed where they meet a zero; these do not.
TEST_P(Packed, NeighboursAreNotRead) {
  Case one{.variant = variant(), .shape = {1, mixedTokens, 2}, .how = {}};
  one.how.cuSeqlens = mixed;
  const Plan& plan = variantNamed(variant()).plan;
  for (const Case& each : everyFamily(one)) {
    const std::shared_ptr<const Reference> reference = referenceOf(each);
    const std::unique_ptr<PreparedKernel> kernel = prepare(each);
    for (const std::int64_t poisoned : {0, 1}) {
      HostCall host = reference->host;
      for (std::int64_t i = poisoned; i < host.sequences(each.shape); i += 2) {
        const HostSequence sequence = sequenceAt(host, each.shape, i);
        for (const Operand& operand : plan.operands)
          if (operand.kind == Operand::Kind::input) {
            HostTensor& tensor = host.tensors.at(operand.name);
            const auto token = std::int64_t(tensor.data.size()) / each.shape.tokens;
            std::fill_n(tensor.data.begin() + sequence.first * token, sequence.tokens * token,
                        std::numeric_limits<double>::quiet_NaN());
          }
      }
      DeviceCall call(plan, signatureOf(each), each.shape, host);
      const HostResult found = runTwice(*kernel, call).first;
      for (std::int64_t i = 1 - poisoned; i < host.sequences(each.shape); i += 2) {
        const HostSequence sequence = sequenceAt(host, each.shape, i);
        EXPECT_EQ(judge(plan, signatureOf(each), resultOf(found, sequence),
                        resultOf(reference->expected, sequence))
                      .reason,
                  "")
            << describe(each) << ", sequence " << i;
      }
    }
  }
}

/// Nothing but the kernel has read the list: a graph runs with what it holds when it is replayed.
TEST_P(Packed, AGraphTakesTheListAsItIs) {
  Case one{.variant = variant(), .shape = {1, 200, 2}, .how = {}};
  one.how.cuSeqlens = {0, 64, 200, 200};
  Case other = one;
  other.how.cuSeqlens = {0, 1, 77, 200};
  const Plan& plan = variantNamed(variant()).plan;
  for (const Case& each : everyFamily(one)) {
    const std::unique_ptr<PreparedKernel> kernel = prepare(each);
    DeviceCall call(plan, signatureOf(each), each.shape, referenceOf(one)->host);
    const LaunchPlan bound = call.bind(kernel->binder());
    const Stream stream;
    stream.beginCapture();
    kernel->launch(bound, stream);
    const Graph graph = stream.endCapture();
    for (const Case* now : {&one, &other, &one}) {
      call.poison();
      const std::vector<std::int32_t> starts(now->how.cuSeqlens.begin(), now->how.cuSeqlens.end());
      cuda::check(cuda::api().memcpyToDevice(
                      reinterpret_cast<cuda::Pointer>(call.call().lists.cuSeqlens.data),
                      starts.data(), starts.size() * sizeof(starts[0]), stream),
                  "a copy of the list");
      graph.launch(stream);
      stream.synchronize();
      EXPECT_EQ(judge(plan, signatureOf(each), call.download(), referenceOf(*now)->expected).reason,
                "")
          << describe(each);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, Packed, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

using PackedPosition = GpuTest;

TEST_F(PackedPosition, BeginsAnew) {
  expectRight(everyList("cosformer", [](Case& one) { one.how.initialStates = false; }));
}

}  // namespace
}  // namespace lathe::test
