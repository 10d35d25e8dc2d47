// What `direction both` and `in reverse` are lowered to.
#include "tests/compiler/Support.h"

namespace lathe::test {
namespace {

/// The lines of the body, without what stands around them.
std::vector<std::string> linesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(compileOne(text).ir(Stage::ir));
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with("  "))
      lines.push_back(line.substr(2));
  return lines;
}

std::string both(const std::string& statements) {
  return "variant v(K, V) {\n  direction both\n  input q[K], k[K], v[V], d in log\n"
         "  state S[K, V]\n" +
         statements + "\n}\n";
}

TEST(Directions, AStateInReverseIsMarked) {
  const auto lines = linesOf("variant v(K) {\n  input x[K]\n  state z[K] in reverse, y[K]\n"
                             "  z <- z + x\n  y <- y + x\n  output o[K] = y + z\n}\n");
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "%x = lathe.input \"x\" : <K>",
                       "%z = lathe.state \"z\" in_reverse : <K>",
                       "%y = lathe.state \"y\" : <K>",
                       "%0 = lathe.map arith.addf(%z, %x) : <K>, <K> -> <K>",
                       "%1 = lathe.map arith.addf(%y, %x) : <K>, <K> -> <K>",
                       "%2 = lathe.map arith.addf(%1, %0) : <K>, <K> -> <K>",
                       "lathe.output \"o\", %2 : <K>",
                       "lathe.update \"z\", %0 : <K>",
                       "lathe.update \"y\", %1 : <K>",
                   }));
}

TEST(Directions, ReadsBelowAnUpdateTakeItsLinearPartInReverse) {
  const auto lines = linesOf(both("  S <- exp(d) * S + k * v\n  output o[V] = q @ S"));
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "%q = lathe.input \"q\" : <K>",
                       "%k = lathe.input \"k\" : <K>",
                       "%v = lathe.input \"v\" : <V>",
                       "%d = lathe.input \"d\" in_log : <>",
                       "%S = lathe.state \"S\" : <K, V>",
                       "%S_reverse = lathe.state \"S_reverse\" in_reverse : <K, V>",
                       "%0 = lathe.map math.exp(%d) : <> -> <>",
                       "%1 = lathe.map arith.mulf(%0, %S) : <>, <K, V> -> <K, V>",
                       "%2 = lathe.map arith.mulf(%0, %S_reverse) : <>, <K, V> -> <K, V>",
                       "%3 = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>",
                       "%4 = lathe.map arith.addf(%1, %3) : <K, V>, <K, V> -> <K, V>",
                       "%5 = lathe.map arith.addf(%2, %3) : <K, V>, <K, V> -> <K, V>",
                       "%6 = lathe.contract %q, %4 over \"K\" : <K>, <K, V> -> <V>",
                       "%7 = lathe.contract %q, %2 over \"K\" : <K>, <K, V> -> <V>",
                       "%8 = lathe.map arith.addf(%6, %7) : <V>, <V> -> <V>",
                       "lathe.output \"o\", %8 : <V>",
                       "lathe.update \"S\", %4 : <K, V>",
                       "lathe.update \"S_reverse\", %5 : <K, V>",
                   }));
}

TEST(Directions, ReadsAboveAnUpdateTakeBothAsTheyWereLeft) {
  const auto lines = linesOf(both("  output o[V] = q @ S\n  S <- exp(d) * S + k * v"));
  EXPECT_EQ(lines[6], "%0 = lathe.contract %q, %S over \"K\" : <K>, <K, V> -> <V>");
  EXPECT_EQ(lines[7], "%1 = lathe.contract %q, %S_reverse over \"K\" : <K>, <K, V> -> <V>");
  EXPECT_EQ(lines[8], "%2 = lathe.map arith.addf(%0, %1) : <V>, <V> -> <V>");
}

TEST(Directions, WhatIsDroppedIsNotRead) {
  const auto lines = linesOf(both("  S <- exp(d) * k * v\n  output o[V] = q @ S"));
  EXPECT_EQ(lines[9], "%3 = lathe.contract %q, %2 over \"K\" : <K>, <K, V> -> <V>");
  EXPECT_EQ(lines[10], "lathe.output \"o\", %3 : <V>");
}

TEST(Directions, MatricesAreNotAddedUpToBeRead) {
  const std::string update = "  S <- S + k * v\n";
  const auto sums = [&](const std::string& output) {
    int count = 0;
    for (const std::string& line : linesOf(both(update + output)))
      count += line.ends_with("<K, V>, <K, V> -> <K, V>");
    return count - 2;  // Those of the updates.
  };
  EXPECT_EQ(sums("  let h = -(2 * S) / v\n  output o[V] = q @ h * exp(d)"), 0);
  EXPECT_EQ(sums("  output o[K] = S @ v"), 0);
  EXPECT_EQ(sums("  output o = sum(S @ v) + q @ (S @ v)"), 0);
  EXPECT_EQ(sums("  output o[V] = q @ tanh(S)"), 1);
  EXPECT_EQ(sums("  output o[K, V] = S"), 1);
}

TEST(Directions, TheNormalFormReadsEveryStateByItself) {
  const CompiledVariant variant =
      compileOne(both("  S <- exp(d) * S + k * v\n  output o[V] = q @ S"));
  const std::string& ir = variant.ir(Stage::normal);
  EXPECT_NE(ir.find("lathe.affine %S decay(%d) outer(%k * %v)"), std::string::npos) << ir;
  EXPECT_NE(ir.find("lathe.affine %S_reverse decay(%d) outer(%k * %v)"), std::string::npos) << ir;
  EXPECT_NE(ir.find("lathe.contract %4, %S_reverse over \"K\""), std::string::npos) << ir;
}

}  // namespace
}  // namespace lathe::test
