#include "compiler/spec/Functions.h"
#include "tests/spec/Parse.h"

namespace lathe::spec {
namespace {

TEST(Types, BroadcastOverMissingNames) {
  EXPECT_EQ(typed("a"), Dims{});
  EXPECT_EQ(typed("2 * a"), Dims{});
  EXPECT_EQ(typed("a * k"), Dims{"K"});
  EXPECT_EQ(typed("q + k"), Dims{"K"});
  EXPECT_EQ(typed("k * v"), (Dims{"K", "V"}));
  EXPECT_EQ(typed("v * k"), (Dims{"K", "V"}));
  EXPECT_EQ(typed("v - M"), (Dims{"K", "V"}));
  EXPECT_EQ(typed("-v"), Dims{"V"});
}

TEST(Types, DimensionsAndPositionAreScalars) {
  EXPECT_EQ(typed("K"), Dims{});
  EXPECT_EQ(typed("1 / sqrt(K) + position"), Dims{});
}

TEST(Types, ContractTheSharedName) {
  EXPECT_EQ(typed("q @ k"), Dims{});
  EXPECT_EQ(typed("q @ M"), Dims{"V"});
  EXPECT_EQ(typed("M @ v"), Dims{"K"});
  EXPECT_EQ(typed("q @ M @ v"), Dims{});
  const Spec spec = parseValid(variantWith("  let x = M @ v"));
  EXPECT_EQ(find(spec.variants[0], "x").value->contracted, "V");
}

TEST(Types, ContractOfTwoMatrices) {
  const Spec spec = parseValid("variant test(N, K, V) {\n"
                               "  input A[K, N], q[N], v[V]\n"
                               "  state S[V, K]\n"
                               "  S <- S + v\n"
                               "  let p = S @ A\n"
                               "  output o[V] = p @ q\n"
                               "}\n");
  EXPECT_EQ(find(spec.variants[0], "p").dims, (Dims{"N", "V"}));
}

TEST(Types, OfEveryFunction) {
  for (const Function& function : functions()) {
    const auto typeOn = [&](const char* first) {
      std::string call(function.name);
      call.append("(").append(first);
      for (int i = 1; i < function.arity; ++i)
        call += ", v";
      return typed(call.append(")"));
    };
    if (function.typing == Function::Typing::derivation)
      continue;  // It needs a derived dimension: TaylorFeaturesHaveTheDerivedDimension.
    if (function.arity > 1) {
      EXPECT_EQ(typeOn("a"), Dims{"V"}) << function.name;
      EXPECT_EQ(typeOn("k"), (Dims{"K", "V"})) << function.name;
    } else if (function.typing == Function::Typing::elementwise) {
      EXPECT_EQ(typeOn("a"), Dims{}) << function.name;
      EXPECT_EQ(typeOn("M"), (Dims{"K", "V"})) << function.name;
    } else {
      EXPECT_EQ(typeOn("k"), function.name == "sum" ? Dims{} : Dims{"K"}) << function.name;
    }
  }
}

TEST(Types, TaylorFeaturesHaveTheDerivedDimension) {
  const Spec spec = parseValid("variant test(K, V, F = taylor2(K), G = taylor2(V)) {\n"
                               "  input k[K], v[V]\n"
                               "  state S[F, G]\n"
                               "  S <- S + taylor2(k) * taylor2(v)\n"
                               "  output o = sum(S @ taylor2(-v)) * F\n"
                               "}\n");
  ASSERT_EQ(spec.variants.size(), 1u);
  EXPECT_EQ(spec.variants[0].dims, (Dims{"K", "V", "F", "G"}));
  ASSERT_EQ(spec.variants[0].derived.size(), 2u);
  EXPECT_EQ(spec.variants[0].derived[1].dim, "G");
  EXPECT_EQ(spec.variants[0].derived[1].from, "V");
  const Statement& update = spec.variants[0].statements[3];
  ASSERT_EQ(update.kind, Statement::Kind::update);
  EXPECT_EQ(update.value->dims, (Dims{"F", "G"}));
}

TEST(Types, EveryExpressionIsMarked) {
  const Spec spec = parseValid(variantWith("  let x = a * (q @ M) + sum(k * 2)"));
  const Expr& sum = *find(spec.variants[0], "x").value;
  EXPECT_EQ(sum.dims, Dims{"V"});
  EXPECT_EQ(sum.args[0]->dims, Dims{"V"});
  EXPECT_EQ(sum.args[0]->args[1]->dims, Dims{"V"});
  EXPECT_EQ(sum.args[0]->args[1]->args[0]->dims, Dims{"K"});
  EXPECT_EQ(sum.args[1]->dims, Dims{});
  EXPECT_EQ(sum.args[1]->args[0]->dims, Dims{"K"});
}

TEST(Types, ValuesBroadcastIntoStatesAndOutputs) {
  parseValid("variant test(K, V) {\n"
             "  input k[K], a\n"
             "  state S[K, V], z[V]\n"
             "  S <- S + k\n"
             "  z <- a\n"
             "  output o[K, V] = S * z\n"
             "  output p[V] = a\n"
             "}\n");
}

TEST(Rules, OutputBeforeUpdateAndLaterStatementsAreValid) {
  EXPECT_EQ(messages("variant test(K, V) {\n"
                     "  input q[K], k[K], v[V]\n"
                     "  state S[K, V]\n"
                     "  output o[V] = q @ S\n"
                     "  S <- S + k * v\n"
                     "  S <- S * 2\n"
                     "}\n"),
            "");
}

TEST(Rules, OutputsReadStatesOfBothDirections) {
  EXPECT_EQ(messages("variant test(K, V) {\n"
                     "  input q[K], k[K], v[V]\n"
                     "  state S[K, V], R[K, V] in reverse\n"
                     "  let w = q @ R\n"
                     "  S <- S + k * (v - k @ S)\n"
                     "  R <- R + k * (v - k @ R)\n"
                     "  let all = q @ S + w\n"
                     "  output o[V] = all\n"
                     "}\n"),
            "");
}

TEST(Rules, UpdatesInBothDirectionsAreLinear) {
  EXPECT_EQ(messages("variant test(K, V) {\n"
                     "  direction both\n"
                     "  input q[K], k[K], v[V], a\n"
                     "  let b = exp(a)\n"
                     "  state S[K, V], z[K]\n"
                     "  S <- b * S / a - k * (v - k @ S) + sum(z)\n"
                     "  z <- -z + k\n"
                     "  output o[V] = tanh(q @ S) / (z @ z)\n"
                     "}\n"),
            "");
}

TEST(Rules, VariantsHaveTheirOwnNames) {
  const std::string body = "(K) {\n input k[K]\n state z[K]\n z <- z + k\n output o[K] = z\n}\n";
  EXPECT_EQ(messages("variant one" + body + "variant two" + body), "");
}

TEST(Rules, OneMistakeIsReportedOnce) {
  Diagnostics diagnostics;
  parse(variantWith("  let x = missing + missing\n  let y = x * missing\n  let z = y @ x"),
        diagnostics);
  EXPECT_EQ(diagnostics.all().size(), 1u);
}

TEST(Rules, WarningsAreNoErrors) {
  Diagnostics diagnostics;
  parse(variantWith("  let x = a"), diagnostics);
  EXPECT_FALSE(diagnostics.hasErrors());
  EXPECT_EQ(diagnostics.count(Severity::warning), 3);  // b, M and x; a is read by x.
}

}  // namespace
}  // namespace lathe::spec
