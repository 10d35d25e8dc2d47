// The chunk form and the normal form compute what the spec says, whatever the chunk.
#include "tests/compiler/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-12;

/// Every form and chunk against the token form of the interpreter.
void expectSameInEveryForm(const CompiledVariant& variant, const Arguments& call,
                           const std::string& what) {
  const Results expected = interpret(variant, call, 0, 2);
  for (const auto& [name, tensor] : expected.outputs)
    for (double number : tensor.data)
      ASSERT_TRUE(std::isfinite(number)) << what;
  expectClose(reference::interpret(variant.normal.program, call, 0, 1), expected, tolerance,
              what + ", normal form");
  for (int chunk : {1, 3, 16, 64})
    expectClose(interpret(variant, call, chunk, 2), expected, tolerance,
                what + ", chunk " + std::to_string(chunk));
}

class Library : public testing::TestWithParam<std::string> {};

TEST_P(Library, ChunkFormIsTokenForm) {
  const CompiledVariant variant = compileLibrary(GetParam());
  for (std::int64_t tokens : {1, 2, 16, 37, 100})
    for (double gate : {0.0, 0.3, 30.0, 1000.0})
      for (bool initial : {false, true})
        expectSameInEveryForm(
            variant, randomCall(variant, {2, tokens, 2}, {{"K", 5}, {"V", 7}}, gate, initial),
            GetParam() + ", " + std::to_string(tokens) + " tokens, gate " + std::to_string(gate));
}

TEST_P(Library, ChunkFormHoldsAtTheSizesOfModels) {
  const CompiledVariant variant = compileLibrary(GetParam());
  expectSameInEveryForm(variant, randomCall(variant, {1, 150, 1}, {{"K", 64}, {"V", 128}}),
                        GetParam());
}

INSTANTIATE_TEST_SUITE_P(Variants, Library, testing::ValuesIn(library()),
                         [](const auto& info) { return info.param; });

/// Specs that need what the library does not: each with a chunk form.
struct Named {
  std::string name, text;

  friend void PrintTo(const Named& named, std::ostream* out) { *out << named.name; }
};

const std::vector<Named>& specs() {
  static const std::vector<Named> list{
      {"two_rank1_terms", R"(variant v(K, V) {
         input q[K], k[K], v[V], a[K], b[K], w[K] in log
         state S[K, V]
         S <- exp(w) * S + 0.1 * l2norm(b) * (l2norm(a) @ S) + k * v
         S <- S + 0.2 * l2norm(k) * (v - l2norm(k) @ S)
         output o[V] = q @ S
       })"},
      {"reads_before_the_update", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, u[K]
         state S[K, V]
         output o[V] = q @ S + sum(q * u * k) * v
         S <- exp(w) * S + k * v
       })"},
      {"reads_in_the_middle", R"(variant v(K, V) {
         input q[K], k[K], v[V], f
         state S[K, V]
         S <- sigmoid(f) * S
         let old = k @ S
         S <- S + k * v
         output o[V] = q @ S + old
         output p[V] = q @ S
       })"},
      {"several_outer_products", R"(variant v(K, V) {
         input q[K], k[K], v[V], x[K], y[V], f
         state S[K, V]
         S <- sigmoid(f) * S + (k * v - x * y) / 2
         output o[V] = q @ S
       })"},
      {"mlstm", R"(variant v(K, V) {
         input q[K], k[K], v[V], i, f
         state C[K, V], n[K]
         C <- sigmoid(f) * C + exp(i) * k * v
         n <- sigmoid(f) * n + exp(i) * k
         output h[V] = q @ C / max(abs(q @ n), 1)
       })"},
      {"pipeline_of_two_states", R"(variant v(K, M, V) {
         input q[K], k[K], s[M], v[V], f
         state A[K, M], S[M, V]
         A <- sigmoid(f) * A + k * s
         let p = softmax(q @ A)
         S <- sigmoid(f) * S + s * v
         output o[V] = p @ S
       })"},
      {"values_without_tokens", R"(variant v(K, V) {
         input q[K]
         param p[K], r[V], decay
         state S[K, V]
         S <- sigmoid(decay) * S + p * r
         output o[V] = q @ S
         output c[V] = r
       })"},
      {"position", R"(variant v(K, V) {
         input q[K], k[K], v[V]
         state S[K, V]
         S <- S + k * v
         output o[V] = (q @ S) / (position + 1)
       })"},
      {"sum_over_the_keys", R"(variant v(K, V) {
         input k[K], v[V], f
         state S[K, V]
         S <- (1 - sigmoid(f)) * S + k * v
         output o[V] = k @ S
       })"},
      {"decay_over_values", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[V] in log
         state S[K, V]
         S <- exp(w) * S + k * v
         output o[V] = q @ S
       })"},
      {"decay_over_both", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, u[V] in log, f
         state S[K, V]
         output p[V] = q @ S
         S <- exp(w + u - softplus(f)) * S + k * v
         output o[V] = q @ S
         output r[K] = S @ v
       })"},
      {"reads_over_both", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, b
         state S[K, V]
         S <- exp(w) * S
         S <- S + sigmoid(b) * l2norm(k) * (v - l2norm(k) @ S)
         output o[V] = q @ S
         output p[K] = S @ v
       })"},
      {"delta_over_the_second_dimension", R"(variant v(V, K) {
         input q[K], k[K], v[V], f, b
         state S[V, K]
         S <- sigmoid(f) * S
         S <- S + sigmoid(b) * (v - S @ l2norm(k)) * l2norm(k)
         output o[V] = S @ q
       })"},
      {"vectors_as_they_are", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, f
         state S[K, V], n[K], m[V]
         output before[V] = m * m
         S <- exp(w) * S + k * v
         n <- exp(w) * n + exp(k)
         m <- sigmoid(f) * m + v
         output o[V] = (q / (1 + n * n)) @ S + m / (1 + m * m)
       })"},
      {"two_factors_of_decay", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, f
         state S[K, V]
         S <- sigmoid(f) * (exp(w) * S) + k * v
         output o[V] = q @ S
       })"},
  };
  return list;
}

class Specs : public testing::TestWithParam<Named> {};

TEST_P(Specs, ChunkFormIsTokenForm) {
  const CompiledVariant variant = compileOne(GetParam().text);
  ASSERT_TRUE(variant.has(Stage::chunk));
  for (std::int64_t tokens : {0, 1, 19, 64, 70})
    for (double gate : {0.3, 50.0})
      expectSameInEveryForm(
          variant,
          randomCall(variant, {2, tokens, 2},
                     variant.plan.dims.size() == 3
                         ? std::map<std::string, int>{{"K", 4}, {"M", 6}, {"V", 3}}
                         : std::map<std::string, int>{{"K", 4}, {"V", 6}},
                     gate),
          GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(Variants, Specs, testing::ValuesIn(specs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lathe::test
