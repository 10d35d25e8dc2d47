#include "tests/spec/Parse.h"

namespace lathe::spec {
namespace {

TEST(Precedence, MinusThenContractThenProductThenSum) {
  EXPECT_EQ(parsed("a + b * 2"), "(a + (b * 2))");
  EXPECT_EQ(parsed("a * b + 2"), "((a * b) + 2)");
  EXPECT_EQ(parsed("a * q @ M"), "(a * (q @ M))");
  EXPECT_EQ(parsed("q @ M * a"), "((q @ M) * a)");
  EXPECT_EQ(parsed("-q @ M"), "((-q) @ M)");
  EXPECT_EQ(parsed("-a * b"), "((-a) * b)");
  EXPECT_EQ(parsed("a - -b"), "(a - (-b))");
  EXPECT_EQ(parsed("--a"), "(-(-a))");
  EXPECT_EQ(parsed("q @ -M"), "(q @ (-M))");
  EXPECT_EQ(parsed("b * k * (v - k @ M)"), "((b * k) * (v - (k @ M)))");
}

TEST(Precedence, LeftAssociative) {
  EXPECT_EQ(parsed("a - b - 2"), "((a - b) - 2)");
  EXPECT_EQ(parsed("a / b / 2"), "((a / b) / 2)");
  EXPECT_EQ(parsed("a / b * 2"), "((a / b) * 2)");
  EXPECT_EQ(parsed("q @ M @ v"), "((q @ M) @ v)");
  EXPECT_EQ(parsed("a - (b - 2)"), "(a - (b - 2))");
}

TEST(Calls, HaveArguments) {
  EXPECT_EQ(parsed("clamp(-a, 1 - b, max(a, 2))"), "clamp((-a), (1 - b), max(a, 2))");
  EXPECT_EQ(parsed("exp(-exp(a) * softplus(b))"), "exp(((-exp(a)) * softplus(b)))");
}

TEST(Continuation, AfterAnOperator) {
  EXPECT_EQ(parsed("a +\n\n   # a comment\n  b *\n 2"), "(a + (b * 2))");
  EXPECT_EQ(parsed("\n  a"), "a");
  EXPECT_EQ(parsed("-\n  a"), "(-a)");
}

TEST(Continuation, InsideBrackets) {
  EXPECT_EQ(parsed("(a\n  + b\n) * exp(\n  a\n)"), "((a + b) * exp(a))");
  EXPECT_EQ(parsed("max(a,\n  b)"), "max(a, b)");
}

TEST(Continuation, OfEveryStatement) {
  const Spec spec = parseValid("variant test(K,\n V)\n{\n"
                               "  input q[K],\n k[\nK], v[V]\n"
                               "  state S[K, V]\n"
                               "  S <-\n    S + k *\n    v\n"
                               "  output o[V] =\n    q @ S }");
  ASSERT_EQ(spec.variants.size(), 1u);
  EXPECT_EQ(spec.variants[0].statements.size(), 6u);
}

TEST(Continuation, EndsAtTheLineOtherwise) {
  EXPECT_NE(messages(variantWith("  let x = a\n  + b")).find("expected a statement, found '+'"),
            std::string::npos);
}

TEST(Statements, KeepTheirOrderAndPlaces) {
  const Spec spec = parseValid("variant w(K, V) {\n"
                               "  input a[K], c, d in log\n"
                               "  param p[V, K] in log, r\n"
                               "  const e = 1e-6\n"
                               "  let f = a * c * d * p * r * e\n"
                               "  state S[V, K], z[K]\n"
                               "  S <- f\n"
                               "  z <- z + a @ S @ S\n"
                               "  output y[K] = z\n"
                               "}\n");
  ASSERT_EQ(spec.variants.size(), 1u);
  const Variant& variant = spec.variants[0];
  EXPECT_EQ(variant.name, "w");
  EXPECT_EQ(variant.span.line, 1);
  EXPECT_EQ(variant.span.column, 9);
  EXPECT_EQ(variant.dims, (Dims{"K", "V"}));

  using Kind = Statement::Kind;
  const std::vector<std::tuple<Kind, std::string, Dims, bool, int>> expected = {
      {Kind::input, "a", {"K"}, false, 2},    {Kind::input, "c", {}, false, 2},
      {Kind::input, "d", {}, true, 2},        {Kind::param, "p", {"V", "K"}, true, 3},
      {Kind::param, "r", {}, false, 3},       {Kind::constant, "e", {}, false, 4},
      {Kind::let, "f", {"K", "V"}, false, 5}, {Kind::state, "S", {"V", "K"}, false, 6},
      {Kind::state, "z", {"K"}, false, 6},    {Kind::update, "S", {}, false, 7},
      {Kind::update, "z", {}, false, 8},      {Kind::output, "y", {"K"}, false, 9},
  };
  ASSERT_EQ(variant.statements.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const Statement& statement = variant.statements[i];
    EXPECT_EQ(std::tuple(statement.kind, statement.name, statement.dims, statement.log,
                         statement.span.line),
              expected[i])
        << statement.name;
    EXPECT_FALSE(statement.broken);
  }
}

TEST(Statements, StatesMayGoInReverse) {
  const Spec spec = parseValid("variant w(K) {\n"
                               "  direction forward\n"
                               "  input a[K] in log, reverse, both\n"
                               "  state x[K] in reverse, y[K], z[K] in reverse\n"
                               "  x <- x + a * reverse * both\n"
                               "  y <- y + a\n"
                               "  z <- z + sum(x)\n"
                               "  output o[K] = x + y + z\n"
                               "}\n");
  ASSERT_EQ(spec.variants.size(), 1u);
  EXPECT_FALSE(spec.variants[0].both);
  EXPECT_EQ(spec.variants[0].direction.line, 2);
  EXPECT_TRUE(find(spec.variants[0], "x").reverse);
  EXPECT_FALSE(find(spec.variants[0], "y").reverse);
  EXPECT_TRUE(find(spec.variants[0], "z").reverse);
}

TEST(Statements, DirectionBothIsOfTheVariant) {
  const std::string body = "  input a[K]\n  state z[K]\n  z <- z + a\n  output o[K] = z\n}\n";
  const Spec spec =
      parseValid("variant w(K) {\n  direction both\n" + body + "variant v(K) {\n" + body);
  ASSERT_EQ(spec.variants.size(), 2u);
  EXPECT_TRUE(spec.variants[0].both);
  EXPECT_FALSE(spec.variants[1].both);
  EXPECT_EQ(spec.variants[1].direction.line, 0);
}

TEST(Variants, SeveralInAFile) {
  const std::string body = "(K) { input k[K]\n state z[K]\n z <- z + k\n output o[K] = z }";
  const Spec spec = parseValid("variant one" + body + " variant two" + body + "\n");
  ASSERT_EQ(spec.variants.size(), 2u);
  EXPECT_EQ(spec.variants[0].name, "one");
  EXPECT_EQ(spec.variants[1].name, "two");
}

TEST(Limits, ExpressionsAtTheirDeepest) {
  const auto nested = [](int depth) {
    return variantWith("  let x = " + std::string(depth, '(') + "a" + std::string(depth, ')'));
  };
  parseValid(nested(200));
  EXPECT_NE(messages(nested(201)).find("more than 200 operations or brackets deep"),
            std::string::npos);

  const auto chain = [](int operations) {
    std::string text = "  let x = a";
    for (int i = 0; i < operations; ++i)
      text += " + a";
    return variantWith(text);
  };
  parseValid(chain(200));
  EXPECT_NE(messages(chain(201)).find("more than 200 operations or brackets deep"),
            std::string::npos);
}

TEST(Limits, TextOfAMebibyte) {
  const std::string variant = variantWith("");
  parseValid(variant + std::string((1 << 20) - variant.size(), '\n'));
  EXPECT_EQ(messages(std::string((1 << 20) + 1, '\n')),
            "test.lathe: error: the text has 1048577 bytes, more than the 1 MiB that a spec may "
            "have\n     help: give the path of a .lathe file; variants can be split over several "
            "files\n");
}

TEST(Limits, HugeTextsAreFast) {
  // Quadratic work in the number of names, statements or mistakes would take minutes here.
  const auto repeat = [](const std::string& piece) {
    std::string text = "variant test(K, V) {\n";
    while (text.size() + piece.size() < (1 << 20))
      text += piece;
    return text;
  };
  for (const std::string piece :
       {"(", "let x = y\n", "-", "a,", "input a[", "variant ", "}", "\xff", "state S[K, V], T[K]\n",
        "let x = (((\n", "1e9 ", "exp(K)+", "let a = K + K + K\n"})
    EXPECT_FALSE(messages(repeat(piece)).empty()) << piece;
  std::string names = "variant test(K) {\n";
  for (int i = 0; names.size() + 40 < (1 << 20); ++i)
    names += "let x" + std::to_string(i) + " = y" + std::to_string(i) + "\n";
  EXPECT_NE(messages(names).find("more errors not shown"), std::string::npos);
}

}  // namespace
}  // namespace lathe::spec
