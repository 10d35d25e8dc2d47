// The general form of step and sequential: programs of every shape, and calls as users make them.
#include "tests/gpu/Support.h"

#include <algorithm>

namespace lathe::test {
namespace {

struct Spec {
  const char *name, *text;
};

/// One for each thing that no other form can hold.
const Spec specs[] = {
    {"delta", R"(variant delta(K, V) {
  input q[K], k[K], v[V], b
  let   kn = l2norm(k)
  state S[K, V]
  S <- S + sigmoid(b) * kn * (v - kn @ S)
  output o[V] = q @ S
}
)"},
    {"both_sums", R"(variant both_sums(K, V) {
  input q[K], k[K], v[V], w[V]
  state S[K, V]
  S <- 0.9 * S + 0.1 * k * v
  output o[V] = q @ S
  output p[K] = S @ w
}
)"},
    {"nonlinear", R"(variant nonlinear(K, V) {
  input q[K], k[K], v[V]
  state S[K, V], h[V]
  let   e = tanh(l2norm(k) @ S) + h
  S <- tanh(0.5 * S + l2norm(k) * (v - e))
  h <- 0.5 * h + 0.1 * softmax(e)
  output o[V] = rmsnorm(q @ S)
}
)"},
    {"matrices", R"(variant matrices(K, V) {
  input q[K], k[K], v[V], x[K, V]
  param W[V, K], c[K]
  state S[K, V], R[K, V] in reverse
  S <- 0.5 * S + k * v + x
  R <- 0.5 * R + k * v
  output o[V] = q @ tanh(S + R)
  output m[K, V] = S * exp(c)
  output n[V] = W @ k + c @ x
}
)"},
    {"turned", R"(variant turned(K, V) {
  input q[K], k[K], v[V], d in log
  state S[K, V]
  S <- exp(d) * S + rope(k) * v
  output o[V] = rope(q) @ S
}
)"},
    {"reads_itself", R"(variant reads_itself(K, V) {
  input q[K], k[K], v[V]
  state S[K, V], n
  let   p = softmax(q @ S)
  S <- 0.9 * S + 0.1 * k * v
  n <- 0.9 * n + sum(p * v)
  output o[V] = (0.1 * (S @ p) + k) @ S + n
}
)"},
    {"vectors", R"(variant vectors(K) {
  input x[K], g[K] in log
  state a[K], b[K] in reverse, c
  a <- exp(g) * a + x
  b <- exp(g) * b + x
  c <- 0.5 * c + 0.1 * sum(a * x)
  output o[K] = a + b + c
}
)"},
};

/// Tiles with one column a lane and several, with lanes left over, with few tokens at a time.
const Tile tiles[] = {{0, 16, 32, 1, 8, 4, Form::general},
                      {0, 4, 32, 1, 32, 1, Form::general},
                      {0, 1, 64, 1, 16, 2, Form::general}};

struct General : GpuTest, testing::WithParamInterface<Spec> {
  void SetUp() override {
    GpuTest::SetUp();
    addVariant(GetParam().name, GetParam().text);
  }
};

TEST_P(General, IsRightForEveryTile) {
  std::vector<Case> cases;
  for (const Tile& tile : tiles)
    for (auto [family, tokens] :
         {std::pair{Family::step, 1}, {Family::step, 5}, {Family::sequential, 70}})
      for (auto [K, V] : {std::pair{32, 64}, {20, 36}})
        for (DType dtype : {DType::f32, DType::bf16})
          cases.push_back({.variant = GetParam().name,
                           .family = family,
                           .dtype = dtype,
                           .K = K,
                           .V = V,
                           .shape = {2, tokens, 2},
                           .tile = tile});
  expectRight(cases);
}

/// For the emulator, too (tests/emulator).
TEST_P(General, IsRightOnce) {
  expectRight({{.variant = GetParam().name,
                .family = Family::sequential,
                .dtype = DType::f32,
                .K = 20,
                .V = 36,
                .shape = {1, 37, 2},
                .tile = tiles[0]}});
}

/// For the emulator, too (tests/emulator).
TEST_P(General, HasAGradient) {
  expectRight({{.variant = adjointOf(GetParam().name),
                .family = Family::sequential,
                .dtype = DType::f32,
                .K = 12,
                .V = 20,
                .shape = {1, 37, 2},
                .tile = Tile{16, 4, 32, 1, 8, 4, Form::general}}});
}

INSTANTIATE_TEST_SUITE_P(Gpu, General, testing::ValuesIn(specs),
                         [](const auto& info) { return std::string(info.param.name); });

/// Variants of the library that have no other form.
struct GeneralCalls : VariantTest {
  /// Vectors are divided by; they start from zero, as a sequence does.
  bool hasMatricesOnly() const {
    const std::vector<Operand>& operands = variantNamed(variant()).plan.operands;
    return std::none_of(operands.begin(), operands.end(), [](const Operand& operand) {
      return operand.kind == Operand::Kind::state && operand.dims.size() < 2;
    });
  }
  /// A case for each family.
  template <typename Change> std::vector<Case> everyFamily(const Change& change) const {
    std::vector<Case> cases;
    for (auto [family, tokens] : {std::pair{Family::step, 3}, {Family::sequential, 50}}) {
      Case one{.variant = variant(), .family = family, .shape = {2, tokens, 4}};
      one.how.initialStates = hasMatricesOnly();
      change(one);
      if (!variantNamed(variant()).plan.rules.derived.empty())
        one.K = std::min(one.K, 16);
      cases.push_back(one);
    }
    return cases;
  }
};

/// For the emulator, too (tests/emulator).
TEST_P(GeneralCalls, AreRightOnce) {
  expectRight(everyFamily([](Case& one) {
    one.K = 20;
    one.V = 36;
    one.shape.batch = 1;
  }));
}

TEST_P(GeneralCalls, StridesAndHeads) {
  std::vector<Case> cases;
  for (auto [layout, gap, offset] : {std::tuple{Layout::bthd, 8, 0}, {Layout::bhtd, 3, 1}})
    for (const Case& one : everyFamily([&](Case& one) {
           one.placement.layout = layout;
           one.placement.gap = gap;
           one.placement.offset = offset;
           one.how.heads = {{"q", 2}, {"k", 1}};
         }))
      cases.push_back(one);
  expectRight(cases);
}

TEST_P(GeneralCalls, StatesInPlaceAndOfHalfPrecision) {
  std::vector<Case> cases;
  for (DType type : {DType::f32, DType::bf16, DType::f16})
    for (Case one : everyFamily([&](Case& one) { one.stateType = type; })) {
      one.placement.inPlace = one.family == Family::step;
      cases.push_back(one);
    }
  expectRight(cases);
}

TEST_P(GeneralCalls, NoTokens) {
  expectRight(everyFamily([](Case& one) { one.shape.tokens = 0; }));
}

TEST_P(GeneralCalls, StrongGatesAndRepeatedKeys) {
  std::vector<Case> cases;
  for (double scale : {8.0, 70.0})
    for (const Case& one : everyFamily([&](Case& one) {
           one.how.gateScale = hasMatricesOnly() ? scale : 1;
           one.how.repeatedKeys = true;
         }))
      cases.push_back(one);
  expectRight(cases);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GeneralCalls,
                         testing::Values("abc", "based", "gated_output", "gsa", "hedgehog", "mala",
                                         "relu_linear", "vig"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
