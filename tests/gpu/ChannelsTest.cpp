// The scan's form for sm_90a with a decay of every channel: what gates, keys and outputs are made
// of, and a normaliser beside them. Lengths, dims and layouts are those of HopperTest.cpp.
#include "runtime/Device.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

/// A gate of two inputs and a scalar, keys that are scaled by a scalar of the token.
constexpr const char* scaledName = "scaled_channels";
constexpr const char* scaledText = R"(variant scaled_channels(K, V) {
  input  q[K], k[K], v[V], f[K], h[K], a, b
  param  tau
  let    gate = logsigmoid(f + h) / (1 + exp(tau))
  state  S[K, V]
  S <- exp(gate) * S + sigmoid(a) * k * silu(v)
  output o[V] = (sigmoid(b) * q) @ S
})";

/// A normaliser that decays as the state does, with keys that are a map.
constexpr const char* normalisedName = "normalised_channels";
constexpr const char* normalisedText = R"(variant normalised_channels(K, V) {
  input  q[K], k[K], v[V], b
  input  g[K] in log
  let    fq = softmax(q)
  let    fk = exp(-k * k)
  state  S[K, V], n[K]
  S <- exp(g) * S + fk * v
  n <- exp(g) * n + fk
  output o[V] = (fq @ S) / max(abs(fq @ n), 0.5) + b * v
})";

class Channels : public GpuTest, public testing::WithParamInterface<const char*> {
protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped())
      return;
    if (deviceInfo(device).limits.arch != name(Form::sm90a))
      GTEST_SKIP() << "this GPU is no sm_90a";
    addVariant(scaledName, scaledText);
    addVariant(normalisedName, normalisedText);
  }

  Case one(int blockV, int segments) const {
    Case one{.variant = GetParam(), .K = blockV, .V = blockV, .shape = {1, 200, 2}};
    one.tile = Tile{64, 64, blockV, 2, 1, 1, Form::sm90a, segments};
    return one;
  }
};

TEST_P(Channels, AreRightOnce) { expectRight({one(64, 2)}); }

TEST_P(Channels, OfAllKinds) {
  std::vector<Case> cases;
  for (DType dtype : {DType::bf16, DType::f16})
    for (int segments : {1, 3})
      for (int width : {64, 128})
        for (bool gap : {false, true})
          for (std::int64_t tokens : {1, 64, 333}) {
            Case each = one(width, segments);
            each.dtype = dtype;
            each.shape = {2, tokens, 3};
            each.placement.gap = gap ? 3 : 0;
            cases.push_back(each);
          }
  expectRight(cases);
}

TEST_P(Channels, OfOddDims) {
  std::vector<Case> cases;
  for (auto [K, V] : {std::pair{16, 8}, {80, 96}, {96, 64}, {128, 32}})
    for (int segments : {1, 2}) {
      Case each = one(64, segments);
      each.K = K, each.V = V;
      cases.push_back(each);
    }
  expectRight(cases);
}

TEST_P(Channels, UnderStrongGates) {
  std::vector<Case> cases;
  for (int segments : {1, 3})
    for (double scale : {8.0, 70.0})
      for (bool repeated : {false, true}) {
        Case each = one(128, segments);
        each.how.gateScale = scale;
        each.how.repeatedKeys = repeated;
        cases.push_back(each);
      }
  for (double scale : {0.02, 1.0})
    for (double resets : {0.002, 0.1}) {
      Case each = one(128, 2);
      each.how.gateScale = scale;
      each.how.resets = resets;
      cases.push_back(each);
    }
  expectRight(cases);
}

/// Gates in fp32 beside queries, keys and values in 16 bits.
TEST_P(Channels, OfGatesInSinglePrecision) {
  std::vector<Case> cases;
  for (int segments : {1, 3})
    for (int width : {64, 128})
      for (double scale : {0.02, 1.0, 70.0}) {
        Case each = one(64, segments);
        each.K = width;
        each.gateType = DType::f32;
        each.how.gateScale = scale;
        cases.push_back(each);
      }
  expectRight(cases);
}

TEST_P(Channels, UpdateStatesInPlace) {
  std::vector<Case> cases;
  for (int segments : {1, 3}) {
    Case each = one(128, segments);
    each.placement.inPlace = true;
    cases.push_back(each);
  }
  expectRight(cases);
}

INSTANTIATE_TEST_SUITE_P(Gpu, Channels,
                         testing::Values("gla", "hgrn2", "liger", "rwkv6", scaledName,
                                         normalisedName),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
