#include "tools/lathe/PrintSpec.h"

#include "compiler/spec/Parser.h"
#include "tests/tools/Support.h"

namespace lathe::tool {
namespace {

std::string printed(const std::string& text) {
  Diagnostics diagnostics;
  const spec::Spec spec = spec::parse(text, diagnostics);
  EXPECT_FALSE(diagnostics.hasErrors()) << text;
  return printSpec(spec);
}

/// A variant whose output is `expression`, and that expression as it is printed.
std::string expression(const std::string& text) {
  const std::string all = printed("variant t(K) {\n  input x[K], y[K], a, b, c\n  state S[K]\n"
                                  "  S <- S + x * y * a * b * c\n  output o[K] = " +
                                  text + "\n}\n");
  const std::size_t begin = all.find("o[K] = ") + 7;
  return all.substr(begin, all.find('\n', begin) - begin);
}

TEST(PrintSpec, KeepsWhatBracketsMean) {
  for (const char* text :
       {"a - (b - c) + S", "a - b - c + S", "a / (b * c) * S", "a * b / c * S", "-(a + b) * S",
        "-a * S", "a * (x @ y) * S", "x @ y + S", "(x + y) @ (x - y) * S",
        "clamp(a + b, 0.5, 1e+20) * S", "exp(-a) * max(b, c) * S"}) {
    const std::string once = expression(text);
    EXPECT_EQ(expression(once), once) << text;
  }
  EXPECT_EQ(expression("a - (b - c) + S"), "a - (b - c) + S");
  EXPECT_EQ(expression("((a - b)) - c + S"), "a - b - c + S");
  EXPECT_EQ(expression("a / (b * c) * S"), "a / (b * c) * S");
  EXPECT_EQ(expression("a * x @ y * S"), "a * (x @ y) * S");
  EXPECT_EQ(expression("-(a + b) * S"), "-(a + b) * S");
}

TEST(PrintSpec, GroupsDeclarations) {
  EXPECT_EQ(printed("variant t(K,V){ input k[K]\n input v[V], g in log\n\n\n state S[K,V] # c\n"
                    "S <- exp(g)*S + k*v\n output o[V] = k@S }"),
            "variant t(K, V) {\n"
            "  input  k[K], v[V]\n"
            "  input  g in log\n"
            "\n"
            "  state  S[K, V]\n"
            "  S <- exp(g) * S + k * v\n"
            "  output o[V] = k @ S\n"
            "}\n");
}

TEST(PrintSpec, KeepsDirectionsAndDerivedDimensions) {
  const std::string text = "variant t(K, F = taylor2(K), V) {\n"
                           "  direction both\n"
                           "  input  k[K], v[V]\n"
                           "\n"
                           "  state  S[F, V]\n"
                           "  S <- S + taylor2(k) * v\n"
                           "  output o[V] = taylor2(k) @ S\n"
                           "}\n"
                           "\n"
                           "variant u(K) {\n"
                           "  direction forward\n"
                           "  input  k[K]\n"
                           "\n"
                           "  state  x[K], y[K]\n"
                           "  state  z[K] in reverse\n"
                           "  x <- x + k\n"
                           "  y <- y + k\n"
                           "  z <- z + k\n"
                           "  output o[K] = x + y + z\n"
                           "}\n";
  EXPECT_EQ(printed(text), text);
}

TEST(PrintSpec, TheLibraryStaysWhatItIs) {
  for (const char* name : {"gla", "gated_delta_net", "linear_attention", "mamba2", "retnet"}) {
    const std::string text = readText(libraryFile(name));
    const std::string once = printed(text);
    EXPECT_EQ(printed(once), once);
    EXPECT_EQ(variantOf(once).normal.ir, variantOf(text).normal.ir) << name;
  }
}

}  // namespace
}  // namespace lathe::tool
