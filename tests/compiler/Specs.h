// Specs that several tests of the compiler run.
#pragma once

#include "compiler/plan/Dims.h"
#include "tests/compiler/Support.h"

namespace lathe::test {

/// Specs that need what the library does not: each with a chunk form.
struct Named {
  std::string name, text;

  friend void PrintTo(const Named& named, std::ostream* out) { *out << named.name; }
};

inline const std::vector<Named>& specs() {
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
      {"a_count_of_tokens", R"(variant v(K, V) {
         input q[K], k[K], v[V], f
         state S[K, V], n
         S <- sigmoid(f) * S + k * v
         n <- sigmoid(f) * n + 1
         output o[V] = q @ S / n
       })"},
      {"decays_that_are_positive_by_their_parts", R"(variant v(K, V) {
         input q[K], k[K], v[V], f[K], b
         state S[K, V]
         S <- (1 - sigmoid(f) * sigmoid(b)) * S + k * v
         S <- (relu(f) + 0.1) / (1 + k @ k + relu(f)) * S + k * v
         output o[V] = q @ S
       })"},
      {"two_factors_of_decay", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, f
         state S[K, V]
         S <- sigmoid(f) * (exp(w) * S) + k * v
         output o[V] = q @ S
       })"},
      {"a_state_in_reverse", R"(variant v(K, V) {
         input q[K], k[K], v[V], w[K] in log, u[K] in log
         state S[K, V], R[K, V] in reverse
         let later = q @ (exp(u) * R)
         S <- exp(w) * S + k * v
         R <- exp(u) * R + k * v
         output o[V] = q @ S + later
       })"},
      {"both_directions", R"(variant v(K, V) {
         direction both
         input q[K], k[K], v[V], f
         let fq = softplus(q)
         let fk = softplus(k)
         state S[K, V], z[K]
         S <- sigmoid(f) * S + fk * v
         z <- sigmoid(f) * z + fk
         output o[V] = (fq @ S) / (fq @ z)
       })"},
      {"the_delta_rule_in_both_directions", R"(variant v(K, V) {
         direction both
         input q[K], k[K], v[V], b
         let kn = l2norm(k)
         state S[K, V]
         S <- S + sigmoid(b) * kn * (v - kn @ S)
         output o[V] = q @ S
       })"},
      {"taylor_features", R"(variant v(K, V, F = taylor2(K)) {
         input q[K], k[K], v[V]
         let fk = taylor2(k)
         state S[F, V], z[F]
         S <- S + fk * v
         z <- z + fk
         let fq = taylor2(0.5 * q)
         output o[V] = (fq @ S) / (fq @ z)
       })"},
      {"rotary_embedding", R"(variant v(K, V) {
         input q[K], k[K], v[V], w in log
         param p[K]
         state S[K, V]
         S <- exp(w) * S + rope(k * p) * v
         output o[V] = rope(q) @ S
       })"},
      {"weights_by_position", R"(variant v(K, V) {
         input q[K], k[K], v[V]
         const M = 64
         let angle = position / M
         state C[K, V], S[K, V]
         C <- C + cos(angle) * k * v
         S <- S + sin(angle) * k * v
         output o[V] = cos(angle) * (q @ C) + sin(angle) * (q @ S)
       })"},
  };
  return list;
}

}  // namespace lathe::test
