// Scans whose decay is one of every channel of V, in every form, against the interpreter.
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

/// The plain one.
constexpr const char* plainName = "decayed_values";
constexpr const char* plainText = R"(variant decayed_values(K, V) {
  input  q[K], k[K], v[V]
  input  g[V] in log
  state  S[K, V]
  S <- exp(g) * S + k * v
  output o[V] = q @ S
})";

/// Reads before the update; a bonus of the token, so that the values are read as they were loaded.
constexpr const char* beforeName = "decayed_values_before";
constexpr const char* beforeText = R"(variant decayed_values_before(K, V) {
  input  q[K], k[K], v[V], b
  input  g[V] in log
  state  S[K, V]
  output o[V] = q @ S + b * v
  S <- exp(g) * S + k * v
})";

/// Maps of everything: a gate of two inputs that stands in the output too.
constexpr const char* mappedName = "mapped_values";
constexpr const char* mappedText = R"(variant mapped_values(K, V) {
  input  q[K], k[K], v[V], f[V], a, b
  param  tau, bias[V]
  let    gate = logsigmoid(f + bias) / (1 + exp(tau))
  state  S[K, V]
  S <- exp(gate) * S + sigmoid(a) * l2norm(k) * silu(v)
  output o[V] = (sigmoid(b) * q) @ S
})";

class Values : public GpuTest, public testing::WithParamInterface<const char*> {
protected:
  void SetUp() override {
    GpuTest::SetUp();
    addVariant(plainName, plainText);
    addVariant(beforeName, beforeText);
    addVariant(mappedName, mappedText);
  }

  /// In every form that this GPU has.
  void expectRightInEveryForm(const std::vector<Case>& cases) const {
    std::vector<Case> all;
    for (const Case& each : cases)
      for (const Case& form : everyForm(each))
        all.push_back(form);
    expectRight(all);
  }

  Case one(int K, int V, std::int64_t tokens = 200) const {
    return {.variant = GetParam(), .K = K, .V = V, .shape = {1, tokens, 2}};
  }
};

TEST_P(Values, AreRightOnce) { expectRightInEveryForm({one(64, 64)}); }

TEST_P(Values, OfAllKinds) {
  std::vector<Case> cases;
  for (DType dtype : {DType::bf16, DType::f16, DType::f32})
    for (int width : {64, 128})
      for (bool gap : {false, true})
        for (std::int64_t tokens : {1, 64, 333}) {
          Case each = one(width, width, tokens);
          each.dtype = dtype;
          each.shape.batch = 2, each.shape.heads = 3;
          each.placement.gap = gap ? 3 : 0;
          cases.push_back(each);
        }
  expectRightInEveryForm(cases);
}

TEST_P(Values, OfOddDims) {
  std::vector<Case> cases;
  for (auto [K, V] :
       {std::pair{16, 8}, {80, 96}, {96, 64}, {128, 32}, {192, 128}, {256, 64}, {60, 100}})
    cases.push_back(one(K, V));
  expectRightInEveryForm(cases);
}

TEST_P(Values, UnderStrongGates) {
  std::vector<Case> cases;
  for (DType dtype : {DType::bf16, DType::f16})
    for (double scale : {8.0, 70.0})
      for (bool repeated : {false, true}) {
        Case each = one(128, 128);
        each.dtype = dtype;
        each.how.gateScale = scale;
        each.how.repeatedKeys = repeated;
        cases.push_back(each);
      }
  for (double scale : {0.02, 1.0})
    for (double resets : {0.002, 0.1}) {
      Case each = one(128, 128);
      each.how.gateScale = scale;
      each.how.resets = resets;
      cases.push_back(each);
    }
  expectRightInEveryForm(cases);
}

/// Gates in fp32 beside queries, keys and values in 16 bits.
TEST_P(Values, OfGatesInSinglePrecision) {
  std::vector<Case> cases;
  for (int width : {64, 128})
    for (double scale : {0.02, 1.0, 70.0}) {
      Case each = one(width, width);
      each.gateType = DType::f32;
      each.how.gateScale = scale;
      cases.push_back(each);
    }
  expectRightInEveryForm(cases);
}

TEST_P(Values, OfPackedSequencesAndStatesInPlace) {
  std::vector<Case> cases;
  for (bool packed : {false, true}) {
    Case each = one(64, 128);
    each.placement.inPlace = !packed;
    if (packed)
      each.shape.batch = 1, each.how.cuSeqlens = {3, 3, 4, 67, 131, 196};
    cases.push_back(each);
  }
  expectRightInEveryForm(cases);
}

INSTANTIATE_TEST_SUITE_P(Gpu, Values, testing::Values(plainName, beforeName, mappedName),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
