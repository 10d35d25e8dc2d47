// The scan's form for sm_90a, whatever the model would choose: decays, lengths, dims, states,
// strides, heads, gates.
#include "runtime/Device.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

constexpr const char* plainName = "plain_sum";
constexpr const char* plainText = R"(variant plain_sum(K, V) {
  input  q[K], k[K], v[V]
  state  S[K, V]
  S <- S + k * v
  output o[V] = q @ S
})";

constexpr const char* beforeName = "read_before";
constexpr const char* beforeText = R"(variant read_before(K, V) {
  input  q[K], k[K], v[V]
  input  g[K] in log
  state  S[K, V]
  output o[V] = q @ S
  S <- exp(g) * S + k * v
})";

/// Norms, factors of keys and queries, a decay, a normaliser, and an output of several parts.
constexpr const char* normalisedName = "normalised";
constexpr const char* normalisedText = R"(variant normalised(K, V) {
  input  q[K], k[K], v[V], a, b, g in log
  param  w[K]
  const  scale = 1 / sqrt(K)
  let    fq = sigmoid(a) * l2norm(q * w)
  let    fk = sigmoid(b) * softmax(k)
  let    fv = silu(v)
  state  S[K, V], n[K]
  S <- exp(g) * S + fk * fv
  n <- exp(g) * n + fk
  output o[V] = scale * (fq @ S) / max(abs(fq @ n), 1) + a
})";

constexpr const char* gatedName = "gated_maps";
constexpr const char* gatedText = R"(variant gated_maps(K, V) {
  input  q[K], k[K], v[V]
  input  g[K] in log
  param  w[K]
  state  S[K, V]
  S <- exp(g) * S + softmax(k) * silu(v)
  output o[V] = l2norm(q * w) @ S
})";

/// Values that are mapped, and are in the output as they were.
constexpr const char* outputGateName = "output_gate";
constexpr const char* outputGateText = R"(variant output_gate(K, V) {
  input  q[K], k[K], v[V], g in log
  state  S[K, V]
  S <- exp(g) * S + k * tanh(v)
  output o[V] = (q @ S) * silu(v)
})";

/// Queries and keys of one input.
constexpr const char* sharedName = "shared_input";
constexpr const char* sharedText = R"(variant shared_input(K, V) {
  input  x[K], v[V]
  input  g in log
  state  S[K, V]
  S <- exp(g) * S + l2norm(x) * v
  output o[V] = softmax(x) @ S
})";

class Hopper : public GpuTest, public testing::WithParamInterface<const char*> {
protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped())
      return;
    if (deviceInfo(device).limits.arch != name(Form::sm90a))
      GTEST_SKIP() << "this GPU is no sm_90a";
    addVariant(plainName, plainText);
    addVariant(beforeName, beforeText);
    addVariant(gatedName, gatedText);
    addVariant(normalisedName, normalisedText);
    addVariant(sharedName, sharedText);
    addVariant(outputGateName, outputGateText);
  }

  /// A case for every chunk, blockV and number of stages, changed by `change`.
  template <typename Change> void expectAll(const Change& change) const {
    const bool gates = variantNamed(GetParam()).plan.scan->decay == DecayKind::vector;
    // Both take shared memory, the gate that of a stage.
    const bool outputGate =
        GetParam() == std::string("mamba2_gated") || GetParam() == std::string(outputGateName);
    const bool normalised = GetParam() == std::string(normalisedName);
    std::vector<Case> cases;
    for (int blockV : {64, 128})
      for (auto [chunk, stages] : {std::pair{64, 2}, {64, 3}, {128, 2}, {128, 4}}) {
        if ((chunk > 64 && gates) || (outputGate && blockV > 64 && stages > 2) ||
            (normalised && blockV > 64 && stages > 3))
          continue;
        Case one{.variant = GetParam(), .K = 128, .V = 128, .shape = {2, 150, 4}};
        one.tile = Tile{chunk, 64, blockV, stages, 1, 1, Form::sm90a, 1};
        change(cases, one);
      }
    expectRight(cases);
  }

  /// A case for every number of segments.
  template <typename Change> void expectInSegments(const Change& change) const {
    expectAll([&](std::vector<Case>& cases, Case one) {
      for (int segments : {0, 2, 3, 8, 16}) {
        one.tile->segments = segments;
        change(cases, one);
      }
    });
  }
};

TEST_P(Hopper, Lengths) {
  expectAll([](std::vector<Case>& cases, Case one) {
    for (std::int64_t tokens : {0, 1, 63, 64, 65, 128, 257, 1000})
      for (bool initial : {true, false}) {
        one.shape = {2, tokens, 3};
        one.how.initialStates = initial;
        cases.push_back(one);
      }
  });
}

TEST_P(Hopper, Dims) {
  const bool gates = variantNamed(GetParam()).plan.scan->decay == DecayKind::vector;
  expectAll([&](std::vector<Case>& cases, Case one) {
    for (DType dtype : {DType::bf16, DType::f16})
      for (auto [K, V] : {std::pair{16, 8},
                          {32, 32},
                          {64, 64},
                          {80, 96},
                          {96, 96},
                          {128, 32},
                          {128, 192},
                          {192, 64},
                          {192, 192},
                          {64, 256},
                          {256, 256}})
        if (K > (gates ? 192 : 256) || (K > 128 && one.tile->chunk > 64))
          continue;
        else if (K > 128 ? one.tile->blockV == 64 && one.tile->stages == 2
                         : one.tile->blockV == 64 || V > 64) {
          one.dtype = dtype;
          one.K = K, one.V = V;
          cases.push_back(one);
        }
  });
}

TEST_P(Hopper, States) {
  expectAll([](std::vector<Case>& cases, Case one) {
    for (DType type : {DType::f32, DType::bf16, DType::f16})
      for (bool final : {true, false}) {
        one.stateType = type;
        one.placement.finalStates = final;
        cases.push_back(one);
      }
  });
}

TEST_P(Hopper, StridesAndAlignment) {
  expectAll([](std::vector<Case>& cases, Case one) {
    for (Layout layout : {Layout::bthd, Layout::bhtd})
      for (auto [gap, offset] :
           {std::pair{0, 0}, {8, 0}, {64, 8}, {3, 0}, {0, 1}, {0, 2}, {4, 4}}) {
        one.placement.layout = layout;
        one.placement.gap = gap;
        one.placement.offset = offset;
        cases.push_back(one);
      }
  });
}

TEST_P(Hopper, GroupedHeads) {
  const bool mamba = std::string(GetParam()).starts_with("mamba2");
  expectAll([&](std::vector<Case>& cases, Case one) {
    for (int heads : {1, 2}) {
      one.how.heads = {{mamba ? "C" : "q", heads}, {mamba ? "B" : "k", heads}};
      cases.push_back(one);
    }
  });
}

TEST_P(Hopper, StrongGatesAndRepeatedKeys) {
  expectAll([](std::vector<Case>& cases, Case one) {
    for (double scale : {8.0, 70.0})
      for (bool repeated : {false, true}) {
        one.how.gateScale = scale;
        one.how.repeatedKeys = repeated;
        cases.push_back(one);
      }
  });
}

TEST_P(Hopper, ResetGatesAmongMildOnes) {
  expectAll([](std::vector<Case>& cases, Case one) {
    for (double scale : {0.02, 1.0})
      for (double resets : {0.002, 0.1}) {
        one.how.gateScale = scale;
        one.how.resets = resets;
        cases.push_back(one);
      }
  });
}

TEST_P(Hopper, ManyChunks) {
  expectAll([](std::vector<Case>& cases, Case one) {
    one.shape = {1, 4096, 2};
    cases.push_back(one);
  });
}

TEST_P(Hopper, SegmentsOfAllLengths) {
  expectInSegments([](std::vector<Case>& cases, Case one) {
    for (std::int64_t tokens : {65, 129, 500, 1000, 2111}) {
      one.shape = {2, tokens, 3};
      one.how.initialStates = tokens % 2;
      cases.push_back(one);
    }
  });
}

TEST_P(Hopper, SegmentsUnderStrongGates) {
  expectInSegments([](std::vector<Case>& cases, Case one) {
    one.shape = {1, 777, 2};
    one.how.repeatedKeys = true;
    for (double scale : {8.0, 70.0}) {
      one.how.gateScale = scale;
      cases.push_back(one);
    }
  });
}

TEST_P(Hopper, SegmentsUpdateStatesInPlace) {
  expectInSegments([](std::vector<Case>& cases, Case one) {
    // Several blocks of a head read its normaliser.
    const bool normalised = variantNamed(one.variant).plan.scan->normaliser >= 0;
    if (normalised && one.tile->blockV < one.V)
      return;
    one.shape = {1, 600, 2};
    one.placement.inPlace = true;
    for (DType type : {DType::f32, DType::bf16}) {
      one.stateType = type;
      cases.push_back(one);
    }
  });
}

TEST_P(Hopper, SegmentsOfGroupedHeadsAndOtherDims) {
  const bool mamba = std::string(GetParam()).starts_with("mamba2");
  expectInSegments([&](std::vector<Case>& cases, Case one) {
    one.shape = {2, 400, 4};
    one.placement.layout = Layout::bhtd;
    one.how.heads = {{mamba ? "C" : "q", 1}, {mamba ? "B" : "k", 1}};
    one.dtype = DType::f16;
    one.K = 64, one.V = 256;
    cases.push_back(one);
  });
}

/// More blocks than fit the GPU at once: the later ones start when earlier ones end.
TEST_P(Hopper, SegmentsOfMoreHeadsThanMultiprocessors) {
  Case one{.variant = GetParam(), .K = 64, .V = 64, .shape = {2, 320, 40}};
  one.tile = Tile{64, 64, 64, 2, 1, 1, Form::sm90a, 5};
  expectRight({one});
}

class HopperInput : public Hopper {};

/// A sweep of the states copies keys, no queries.
TEST_P(HopperInput, IsQueriesAndKeysInSegments) {
  std::vector<Case> cases;
  for (int segments : {1, 3}) {
    Case one{.variant = GetParam(), .K = 64, .V = 64, .shape = {2, 200, 2}};
    one.tile = Tile{64, 64, 64, 2, 1, 1, Form::sm90a, segments};
    cases.push_back(one);
  }
  expectRight(cases);
}

/// Blocks of two heads, each with its own decays and states; not every variant has them.
class HopperPairs : public Hopper {};

TEST_P(HopperPairs, OfHeads) {
  const bool mamba = std::string(GetParam()).starts_with("mamba2");
  std::vector<Case> cases;
  const bool outputGate = GetParam() == std::string("mamba2_gated");
  for (auto [chunk, stages] :
       {std::pair{64, 2}, {64, outputGate ? 2 : 3}, {128, outputGate ? 2 : 3}})
    for (int segments : {1, 3})
      for (int K : {64, 128})
        for (Layout layout : {Layout::bthd, Layout::bhtd})
          for (int heads : {1, 2})
            for (std::int64_t tokens : {1, 64, 333}) {
              Case one{.variant = GetParam(), .K = K, .V = 64, .shape = {2, tokens, 4}};
              one.how.heads = {{mamba ? "C" : "q", heads}, {mamba ? "B" : "k", heads}};
              one.how.gateScale = tokens == 333 ? 20 : 1;
              one.placement.layout = layout;
              one.placement.gap = heads == 1 ? 3 : 0;
              one.pairedHeads = true;
              one.tile = Tile{chunk, 64, 128, stages, 1, 1, Form::sm90a, segments};
              cases.push_back(one);
            }
  expectRight(cases);
}

INSTANTIATE_TEST_SUITE_P(Gpu, Hopper,
                         testing::Values("retnet", "simple_gla", "mamba2", plainName,
                                         "linear_attention", "lightning", normalisedName,
                                         "mamba2_gated", outputGateName, "gla", beforeName,
                                         gatedName),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Gpu, HopperPairs,
                         testing::Values("retnet", "simple_gla", "mamba2", "mamba2_gated",
                                         plainName),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Gpu, HopperInput, testing::Values(sharedName),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
