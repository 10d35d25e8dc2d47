// Specs that nobody wrote: sums of decays, outer products, delta rules and reads, drawn at random.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace lathe::test {

/// Draws the same specs everywhere: only the engine's own numbers are used.
class RandomSpec {
public:
  explicit RandomSpec(unsigned seed) : random(seed) {}

  std::string draw() {
    const bool both = chance(15);
    std::string text = "variant v(K, V) {\n";
    if (both)
      text += "  direction both\n";
    text += "  input q[K], k[K], v[V], u[V], a, b\n"
            "  input gk[K] in log, gv[V] in log, ga in log\n"
            "  param A\n  const scale = 1 / sqrt(K)\n";
    const bool hasSecond = chance(40), isReverse = !both && chance(15), hasVectors = chance(30);
    text += std::string("  state S[K, V]") + (isReverse ? " in reverse\n" : "\n");
    if (hasSecond)
      text += "  state R[K, V]\n";
    if (hasVectors)
      text += "  state z[K], m[V], c\n";
    for (int statements = 1 + chance(50); statements-- > 0;)
      text += "  S <- " + update("S") + "\n";
    if (hasSecond)
      text += "  R <- " + update("R") + "\n";
    if (hasVectors)
      text += "  z <- " + one({"exp(gk)", "exp(ga)", "sigmoid(a)"}) +
              " * z + exp(k)\n  m <- m + sigmoid(v)\n  c <- sigmoid(a) * c + 1\n";
    std::string read = one({"q @ S", "scale * (q @ S)", vector("K", 2) + " @ S"});
    if (hasSecond)
      read += one({" + softmax(q) @ R", " - q @ R"});
    if (hasVectors)
      read = "(" + read + ") / (1 + abs(q @ z) + c * c + m * m)";
    if (chance(20))
      read = "rmsnorm(" + read + ") * silu(u)";
    text += "  output o[V] = " + read + "\n";
    if (chance(20))
      text += "  output p[K] = S @ u\n";
    return text + "}\n";
  }

private:
  bool chance(unsigned percent) { return random() % 100 < percent; }
  std::string one(const std::vector<std::string>& some) { return some[random() % some.size()]; }

  /// A value over a dimension.
  std::string vector(const std::string& dim, int depth) {
    const auto leaf = [&] { return dim == "K" ? one({"q", "k", "gk"}) : one({"v", "u", "gv"}); };
    if (depth == 0)
      return leaf();
    const auto kind = random() % 5;
    const std::string inner = vector(dim, depth - 1);
    switch (kind) {
    case 0:
      return one({"sigmoid", "tanh", "silu", "elu", "relu", "softplus", "sin", "cos"}) + "(" +
             inner + ")";
    case 1:
      return one({"l2norm", "softmax", "rmsnorm"}) + "(" + inner + ")";
    case 2: {
      const std::string other = vector(dim, depth - 1);
      return "(" + inner + one({" + ", " - ", " * "}) + other + ")";
    }
    case 3:
      return "(" + one({"sigmoid(a)", "tanh(b)", "(q @ k)", "A"}) + " * " + inner + ")";
    default:
      return inner;
    }
  }

  std::string update(const std::string& state) {
    std::string text =
        one({"exp(gk) * ", "exp(gv) * ", "exp(ga) * ", "sigmoid(a) * ", "(1 - sigmoid(b)) * ",
             "exp(gk + gv) * ", "exp(-softplus(a) * exp(A)) * ", "0.9 * ", "sigmoid(k) * ", ""}) +
        state;
    for (unsigned terms = random() % 3; terms-- > 0;)
      text += " + " + one({vector("K", 1) + " * v", "k * " + vector("V", 1),
                           "sigmoid(b) * l2norm(k) * (v - l2norm(k) @ " + state + ")",
                           "0.1 * " + vector("K", 1) + " * (l2norm(q) @ " + state + ")",
                           "0.2 * (" + state + " @ l2norm(v)) * l2norm(v)"});
    return text;
  }

  std::mt19937_64 random;
};

}  // namespace lathe::test
