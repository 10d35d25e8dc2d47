// Programs of every shape that only the general form of step and sequential runs, and tiles for
// them.
#pragma once

#include "compiler/cuda/Kernel.h"

namespace lathe::test {

struct Spec {
  const char *name, *text;
};

/// One for each thing that no other form can hold.
inline const Spec generalSpecs[] = {
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
inline const Tile generalTiles[] = {{0, 16, 32, 1, 8, 4, Form::general},
                                    {0, 4, 32, 1, 32, 1, Form::general},
                                    {0, 1, 64, 1, 16, 2, Form::general}};

}  // namespace lathe::test
