#include "tools/lathe/Formula.h"

#include "tests/tools/Support.h"
#include "tools/lathe/Classify.h"

namespace lathe::tool {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

using Style = Formulas::Style;
using Lines = std::vector<std::string>;

Lines linesOf(const CompiledVariant& variant, Stage stage = Stage::normal,
              Style style = Style::text) {
  return Formulas(variant).lines(stage, style);
}

TEST(Formula, Gla) {
  const CompiledVariant gla = libraryVariant("gla");
  EXPECT_THAT(linesOf(gla), ElementsAre("scale = 1 / sqrt(K)", "S[t] = exp(g) * S[t-1] + k * v",
                                        "o = scale * (q @ S[t])"));
  EXPECT_THAT(linesOf(gla, Stage::chunk),
              ElementsAre("G[i] = sum_{j<=i} g[j]",
                          "A[i,j] = q[i] @ (k[j] * exp(G[i] - G[j]))   for j <= i",
                          "o[i] = scale * ((q[i] * exp(G[i])) @ S[0] + sum_{j<=i} A[i,j] * v[j])",
                          "S[C] = exp(G[C]) * S[0] + sum_j k[j] * exp(G[C] - G[j]) * v[j]"));
  EXPECT_THAT(linesOf(gla, Stage::gradient),
              ElementsAre("P = dS[t] + scale * do * q", "dS[t-1] = exp(g) * P",
                          "dq = scale * (do @ S[t])", "dk = P @ v", "dv = P @ k",
                          "dg = sum_V(P * S[t-1]) * exp(g)", "dscale = sum_t (do @ (q @ S[t]))"));
}

TEST(Formula, Latex) {
  const CompiledVariant gla = libraryVariant("gla");
  EXPECT_THAT(linesOf(gla, Stage::normal, Style::latex),
              ElementsAre(R"(\mathrm{scale} &= \frac{1}{\sqrt{K}})",
                          R"(S_t &= e^{g_t} \odot S_{t-1} + k_t \otimes v_t)",
                          R"(o_t &= \mathrm{scale} \, \left(q_t^\top S_t\right))"));
  EXPECT_THAT(linesOf(gla, Stage::chunk, Style::latex),
              Contains(R"(A_{ij} &= q_i^\top \left(k_j \odot e^{G_i - G_j}\right))"
                       R"( \qquad (j \le i))"));
  EXPECT_THAT(linesOf(gla, Stage::gradient, Style::latex),
              Contains(R"(\mathrm{d}S_{t-1} &= e^{g_t} \odot P_t)"));
  const CompiledVariant delta = libraryVariant("gated_delta_net");
  EXPECT_THAT(linesOf(delta, Stage::chunk, Style::latex), Contains(R"(W &= (I + L)^{-1} R)"));
  EXPECT_THAT(linesOf(delta, Stage::normal, Style::latex),
              Contains(R"(\beta_t &= \operatorname{sigmoid}\left(b_t\right))"));
}

/// How often `part` stands in `text`.
int countOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

TEST(Formula, EveryLineOfTheLibraryIsShortAndClosed) {
  for (const char* name : {"abc", "gated_delta_product", "hedgehog", "mala", "mlstm", "rwkv7"}) {
    const CompiledVariant variant = libraryVariant(name);
    const Formulas formulas(variant);
    for (const Stage stage : {Stage::normal, Stage::chunk, Stage::gradient}) {
      const Lines text = formulas.lines(stage, Style::text);
      EXPECT_FALSE(text.empty()) << name;
      for (const std::string& line : text) {
        EXPECT_LE(line.size(), 160U) << line;
        EXPECT_EQ(countOf(line, "("), countOf(line, ")")) << line;
      }
      for (const std::string& line : formulas.lines(stage, Style::latex)) {
        EXPECT_EQ(countOf(line, "{"), countOf(line, "}")) << line;
        EXPECT_EQ(countOf(line, "\\left"), countOf(line, "\\right")) << line;
        EXPECT_EQ(countOf(line, "&"), 1) << line;
      }
    }
  }
}

TEST(Formula, ANormaliserIsAStateOfItsOwn) {
  const Lines lines = linesOf(libraryVariant("linear_attention"));
  EXPECT_THAT(lines, Contains("fk = elu(k) + 1"));
  EXPECT_THAT(lines, Contains("z[t] = z[t-1] + fk"));
  EXPECT_THAT(lines, Contains("o = (fq @ S[t]) / (fq @ z[t])"));
}

TEST(Formula, TheDeltaRuleReadsTheOldStateAndSolvesForItsRows) {
  const CompiledVariant delta = libraryVariant("delta_net");
  EXPECT_THAT(linesOf(delta),
              Contains("S[t] = S[t-1] - beta * kn * (kn @ S[t-1]) + beta * kn * v"));
  const Lines chunk = linesOf(delta, Stage::chunk);
  EXPECT_THAT(chunk, Contains("L[i,j] = kn[i] @ x2[j]   for j < i"));
  EXPECT_THAT(chunk, Contains("R[i] = kn[i] @ S[0] + sum_{j<i} L[i,j] * v[j]"));
  EXPECT_THAT(chunk, Contains("W = (I + L)^-1 R"));
  EXPECT_THAT(chunk, Contains("S[C] = S[0] + sum_j x2[j] * v[j] - sum_j x2[j] * W[j]"));
}

TEST(Formula, SeveralTriangularSystemsAreSolvedTokenByToken) {
  const Lines chunk = linesOf(libraryVariant("gated_delta_product"), Stage::chunk);
  EXPECT_THAT(chunk, Contains(testing::StartsWith("W[i] = ")));
  EXPECT_THAT(chunk, Contains(testing::HasSubstr("+ sum_{j<i} L2[i,j] * W2[j]")));
}

TEST(Formula, AStateInReverseComesFromTheNextToken) {
  const CompiledVariant vig = libraryVariant("vig");
  EXPECT_THAT(linesOf(vig), Contains("R[t] = exp(h) * R[t+1] + k * v"));
  const Lines chunk = linesOf(vig, Stage::chunk);
  EXPECT_THAT(chunk, Contains("A2[i,j] = q[i] @ (k[j] * exp(G2[j-1] - G2[i-1]))   for j >= i"));
  EXPECT_THAT(chunk, Contains("R[1] = exp(G2[C]) * R[C+1] + sum_j k[j] * exp(G2[j-1]) * v[j]"));
  EXPECT_THAT(linesOf(vig, Stage::gradient), Contains("dR[t+1] = exp(h) * P2"));
}

TEST(Formula, ARunningMaximumIsNamed) {
  const CompiledVariant mlstm = libraryVariant("mlstm");
  EXPECT_THAT(linesOf(mlstm), Contains("m[t] = max(m[t-1] + logsigmoid(f), max(i, 0))"));
  // i is an input: tokens are called t and s, and C is a state.
  EXPECT_THAT(linesOf(mlstm, Stage::chunk), Contains("n[N] = exp(G[N]) * n[0] + sum_s x5[s]"));
  EXPECT_EQ(Formulas(mlstm).chunkLegend(),
            "token t of a chunk of N tokens, 0 the place before its first");
}

TEST(Formula, WhatIsTheSameForAllTokensIsCounted) {
  EXPECT_THAT(linesOf(libraryVariant("retnet"), Stage::chunk), Contains("G[i] = i * gamma"));
  const Lines chunk = linesOf(libraryVariant("mala"), Stage::chunk);
  EXPECT_THAT(chunk, Contains("x4[i] = n[0] + i + n_reverse[C+1] + C - i"));
  EXPECT_THAT(chunk, Contains("n[C] = n[0] + C"));
}

TEST(Formula, AParamSumsUpWhatAllTokensSend) {
  EXPECT_THAT(linesOf(libraryVariant("hedgehog"), Stage::gradient), Contains("dbq = sum_t x7"));
  EXPECT_THAT(linesOf(libraryVariant("comba"), Stage::gradient),
              Contains("dD = -sum_t scale * ((do @ S[t]) @ kn)"));
}

CompiledVariant reading(const std::string& query) {
  return variantOf("variant t(K, V) {\n  input k[K], v[V]\n  state S[K, V]\n  S <- S + k * v\n"
                   "  output o[V] = (" +
                   query + ") @ S\n}\n");
}

TEST(Formula, FeatureFunctionsAreRecognised) {
  EXPECT_THAT(linesOf(reading("l2norm(k)")), Contains("o = l2norm(k) @ S[t]"));
  EXPECT_THAT(linesOf(reading("k * rsqrt(sum(k * k) + 1e-5)")),
              Contains("o = l2norm(k, 1e-05) @ S[t]"));
  EXPECT_THAT(linesOf(reading("rmsnorm(k)")), Contains("o = rmsnorm(k) @ S[t]"));
  EXPECT_THAT(linesOf(reading("softmax(k)")), Contains("o = softmax(k) @ S[t]"));
  EXPECT_THAT(linesOf(reading("k * k * k")), Contains("o = k^3 @ S[t]"));
}

TEST(Formula, NamesWhatIsLongAndUsedTwiceAndAvoidsTakenNames) {
  const Lines lines = linesOf(variantOf("variant t(K, V) {\n  input x1[K], v[V]\n  state S[K, V]\n"
                                        "  S <- S + (exp(x1) + tanh(x1)) * v\n"
                                        "  output o[V] = (exp(x1) + tanh(x1)) @ S\n}\n"));
  EXPECT_THAT(lines,
              ElementsAre("x2 = exp(x1) + tanh(x1)", "S[t] = S[t-1] + x2 * v", "o = x2 @ S[t]"));
}

TEST(Formula, AGradientThatWouldHaveATakenNameKeepsItsPoint) {
  const CompiledVariant variant =
      variantOf("variant t(K, V) {\n  input t[K], dt[V]\n  state S[K, V]\n  S <- S + t * dt\n"
                "  output o[V] = t @ S\n}\n");
  EXPECT_THAT(linesOf(variant, Stage::gradient), Contains(testing::StartsWith("d.t = ")));
}

TEST(Formula, AnOutputBeforeTheUpdateReadsTheOldState) {
  const CompiledVariant variant =
      variantOf("variant t(K, V) {\n  input k[K], v[V]\n  state S[K, V]\n"
                "  output o[V] = k @ S\n  S <- S + k * v\n}\n");
  EXPECT_THAT(linesOf(variant), Contains("o = k @ S[t-1]"));
  EXPECT_THAT(linesOf(variant, Stage::chunk), Contains("A[i,j] = k[i] @ k[j]   for j < i"));
}

TEST(Formula, WithoutAChunkFormThereIsNone) {
  EXPECT_THAT(linesOf(libraryVariant("longhorn"), Stage::chunk), IsEmpty());
}

TEST(Formula, NodesOfThePlanHaveTheSameNames) {
  const CompiledVariant variant = libraryVariant("linear_attention");
  EXPECT_EQ(Formulas(variant).text(variant.plan.scan->query), "fq");
}

TEST(Classify, EveryVariantOfTheLibrary) {
  const auto kind = [](const char* name) { return classify(libraryVariant(name).plan); };
  EXPECT_EQ(kind("gla"), "decay over K, scan");
  EXPECT_EQ(kind("retnet"), "scalar decay, scan");
  EXPECT_EQ(kind("mamba2"), "scalar decay, scan");
  EXPECT_EQ(kind("linear_attention"), "no decay, normaliser z, scan");
  EXPECT_EQ(kind("gated_delta_net"), "scalar decay, 1 rank-1 term, sequential on the GPU");
  EXPECT_EQ(kind("mlstm"), "scalar decay, exponential gate, normaliser n, sequential on the GPU");
  EXPECT_EQ(kind("lightnet"), "no decay, exponential gate, normaliser z, sequential on the GPU");
  EXPECT_EQ(kind("hedgehog"), "no decay, normaliser y, normaliser z, sequential on the GPU");
}

TEST(Classify, ASumOfOtherKeysOrUnderAnotherDecayIsNoNormaliser) {
  const auto kind = [](const std::string& update) {
    return classify(variantOf("variant t(K, V) {\n  input k[K], v[V], g in log\n"
                              "  state S[K, V], z[K]\n  S <- exp(g) * S + k * v\n  z <- " +
                              update + "\n  output o[V] = (k @ S) / (k @ z)\n}\n")
                        .plan);
  };
  EXPECT_EQ(kind("exp(g) * z + k"), "scalar decay, normaliser z, scan");
  EXPECT_EQ(kind("exp(g) * z + 2 * k"), "scalar decay, sequential on the GPU");
  EXPECT_EQ(kind("z + k"), "scalar decay, no decay, sequential on the GPU");
}

TEST(Classify, WhatIsNotAffine) {
  EXPECT_EQ(classify(variantOf("variant t(K, V) {\n  input k[K], v[V]\n  state S[K, V]\n"
                               "  S <- tanh(S) + k * v\n  output o[V] = k @ S\n}\n")
                         .plan),
            "S has no normal form, sequential on the GPU");
}

}  // namespace
}  // namespace lathe::tool
