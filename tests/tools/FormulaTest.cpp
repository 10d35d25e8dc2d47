#include "tools/lathe/Formula.h"

#include "tests/tools/Support.h"
#include "tools/lathe/Classify.h"

namespace lathe::tool {
namespace {

using testing::Contains;
using testing::ElementsAre;

std::vector<std::string> linesOf(const CompiledVariant& variant) {
  return Formulas(variant.plan).lines();
}

TEST(Formula, Gla) {
  EXPECT_THAT(linesOf(libraryVariant("gla")),
              ElementsAre("scale = 1 / sqrt(K)", "S[t] = exp(g) * S[t-1] + k * v",
                          "o = scale * (q @ S[t])"));
}

TEST(Formula, ANormaliserIsAStateOfItsOwn) {
  const std::vector<std::string> lines = linesOf(libraryVariant("linear_attention"));
  EXPECT_THAT(lines, Contains(testing::StartsWith("z[t] = z[t-1] + ")));
  EXPECT_THAT(lines, Contains(testing::HasSubstr("@ z[t]")));
}

TEST(Formula, TheDeltaRuleReadsTheOldState) {
  EXPECT_THAT(linesOf(libraryVariant("gated_delta_net")),
              Contains(testing::ContainsRegex("S\\[t\\] = exp\\(.*\\) \\* S\\[t-1\\] - .* \\* "
                                              "\\(.* @ S\\[t-1\\]\\) \\+ .* \\* v")));
}

TEST(Formula, NamesWhatIsUsedTwiceAndAvoidsTakenNames) {
  const std::vector<std::string> lines = linesOf(
      variantOf("variant t(K, V) {\n  input x1[K], v[V]\n  let e = exp(x1)\n  state S[K, V]\n"
                "  S <- S + e * v\n  output o[V] = e @ S\n}\n"));
  EXPECT_THAT(lines, ElementsAre("x2 = exp(x1)", "S[t] = S[t-1] + x2 * v", "o = x2 @ S[t]"));
}

TEST(Formula, AnOutputBeforeTheUpdateReadsTheOldState) {
  EXPECT_THAT(linesOf(variantOf("variant t(K, V) {\n  input k[K], v[V]\n  state S[K, V]\n"
                                "  output o[V] = k @ S\n  S <- S + k * v\n}\n")),
              Contains("o = k @ S[t-1]"));
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
