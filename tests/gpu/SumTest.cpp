// Scans in both directions: without decay, where every token reads the sum over all, and with, one
// from each end; the portable form and that for sm_90a.
#include "runtime/Device.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

constexpr const char* plainName = "plain_both";
constexpr const char* plainText = R"(variant plain_both(K, V) {
  direction both
  input  q[K], k[K], v[V], a, b
  state  S[K, V]
  S <- S + sigmoid(a) * k * v
  output o[V] = tanh(b) * (q @ S) + v
})";

/// One from each end, with a decay of every channel and with one a token.
constexpr const char* gatedName = "gated_both";
constexpr const char* gatedText = R"(variant gated_both(K, V) {
  direction both
  input  q[K], k[K], v[V], g[K] in log, a, b
  state  S[K, V]
  S <- exp(g) * S + k * v
  output o[V] = tanh(b) * sigmoid(a) * (q @ S) + v
})";
constexpr const char* scalarName = "scalar_both";
constexpr const char* scalarText = R"(variant scalar_both(K, V) {
  input  q[K], k[K], v[V], f in log
  state  S[K, V], R[K, V] in reverse
  S <- exp(f) * S + k * v
  R <- R + q * v
  output o[V] = q @ S + tanh(k @ R) - v
})";

class Sum : public GpuTest, public testing::WithParamInterface<const char*> {
protected:
  void SetUp() override {
    GpuTest::SetUp();
    addVariant(plainName, plainText);
    addVariant(gatedName, gatedText);
    addVariant(scalarName, scalarText);
  }

  bool is(const char* name) const { return GetParam() == std::string(name); }
  /// The form for sm_90a of two scans takes decays of every channel alone, and fewer of these.
  int mostOfHopper() const { return is(scalarName) ? 0 : is("vig") || is(gatedName) ? 128 : 256; }

  /// A case of the portable form, and on sm_90a one for every number of segments, changed by
  /// `change`.
  template <typename Change> void expectAll(const Change& change) const {
    std::vector<Case> cases;
    Case one{.variant = GetParam(), .K = 64, .V = 128, .shape = {2, 150, 3}};
    one.tile = Tile{16, 32, 64, 2, 1, 1};
    change(cases, one);
    if (mostOfHopper() && deviceInfo(device).limits.arch == name(Form::sm90a))
      for (int blockV : mostOfHopper() < 256 ? std::vector{64} : std::vector{64, 128})
        for (int segments : {0, 1, 2, 5}) {
          one.tile = Tile{64, 64, blockV, 2, 1, 1, Form::sm90a, segments};
          change(cases, one);
        }
    expectRight(cases);
  }
};

TEST_P(Sum, Lengths) {
  expectAll([](std::vector<Case>& cases, Case one) {
    for (std::int64_t tokens : {0, 1, 63, 64, 65, 500})
      for (bool initial : {true, false}) {
        one.shape.tokens = tokens;
        one.how.initialStates = initial;
        cases.push_back(one);
      }
  });
}

TEST_P(Sum, Dims) {
  expectAll([this](std::vector<Case>& cases, Case one) {
    for (DType dtype : {DType::bf16, DType::f16})
      for (auto [K, V] : {std::pair{16, 8}, {80, 96}, {128, 192}, {256, 64}}) {
        one.dtype = dtype;
        one.K = K, one.V = V;
        if (one.tile->form == Form::portable ||
            (K <= mostOfHopper() && (K <= 128 || one.tile->blockV == 64) &&
             (V > 64 || one.tile->blockV == 64)))
          cases.push_back(one);
      }
  });
}

TEST_P(Sum, PackedSequences) {
  expectAll([](std::vector<Case>& cases, Case one) {
    one.how.cuSeqlens = {0, 1, 1, 130, 400};
    one.shape = {1, 400, 2};
    cases.push_back(one);
  });
}

TEST_P(Sum, StatesStridesAndHeads) {
  expectAll([](std::vector<Case>& cases, Case one) {
    // Several blocks of a head read its normaliser.
    one.placement.inPlace = one.tile->blockV == one.V;
    for (DType type : {DType::f32, DType::bf16})
      for (auto [layout, gap, offset] : {std::tuple{Layout::bthd, 8, 0}, {Layout::bhtd, 3, 1}}) {
        one.stateType = type;
        one.shape.heads = 4;
        one.how.heads = {{"q", 2}, {"k", 1}};
        one.placement.layout = layout;
        one.placement.gap = gap;
        one.placement.offset = offset;
        cases.push_back(one);
      }
  });
}

/// More blocks than fit the GPU at once: walks start when sweeps end.
TEST_P(Sum, MoreBlocksThanMultiprocessors) {
  expectAll([](std::vector<Case>& cases, Case one) {
    one.shape = {1, 320, 60};
    cases.push_back(one);
  });
}

INSTANTIATE_TEST_SUITE_P(Gpu, Sum,
                         testing::Values("relu_linear", plainName, "vig", gatedName, scalarName),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
