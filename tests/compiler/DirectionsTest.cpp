// What `direction both` and `in reverse` are lowered to.
#include "tests/compiler/Support.h"

#include <functional>

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

/// One sequence of one head: q, k of size 3, v of size 2, the scalar log-decay d.
struct Sequence {
  static constexpr long tokens = 13, keys = 3, values = 2;

  explicit Sequence(const CompiledVariant& variant)
      : call(randomCall(variant, {1, tokens, 1}, {{"K", keys}, {"V", values}}, 0.3, false)) {}

  const double* at(const char* name, long token) const {
    const std::vector<double>& data = call.inputs.at(name).data;
    return data.data() + token * static_cast<long>(data.size()) / tokens;
  }
  double dot(long reader, long writer) const {
    double sum = 0;
    for (long i = 0; i < keys; ++i)
      sum += at("q", reader)[i] * at("k", writer)[i];
    return sum;
  }
  /// sum_j weight(i, j) (q_i . k_j) v_j for every token i.
  Tensor attention(const std::function<double(long, long)>& weight) const {
    Tensor o{{1, tokens, 1, values}, std::vector<double>(tokens * values)};
    for (long i = 0; i < tokens; ++i)
      for (long j = 0; j < tokens; ++j)
        for (long v = 0; v < values; ++v)
          o.data[i * values + v] += weight(i, j) * dot(i, j) * at("v", j)[v];
    return o;
  }
  /// The product of the decays of the tokens first to last, 1 where there are none.
  double decay(long first, long last) const {
    double sum = 0;
    for (long token = first; token <= last; ++token)
      sum += *at("d", token);
    return std::exp(sum);
  }

  Arguments call;
};

void expectOutput(const std::string& text,
                  const std::function<double(const Sequence&, long, long)>& weight) {
  const CompiledVariant variant = compileOne(text);
  const Sequence sequence(variant);
  const Results found = interpret(variant, sequence.call, 0, 1);
  const Tensor expected =
      sequence.attention([&](long i, long j) { return weight(sequence, i, j); });
  EXPECT_LE(distance(found.outputs.at("o"), expected), 1e-14) << text;
  ASSERT_TRUE(variant.has(Stage::chunk)) << text;
  for (int chunk : {1, 4, 13, 16})
    expectClose(interpret(variant, sequence.call, chunk, 1), found, 1e-13, text);
}

TEST(Directions, WeightsAreProductsOfTheDecaysBetween) {
  expectOutput(both("  S <- exp(d) * S + k * v\n  output o[V] = q @ S"),
               [](const Sequence& s, long i, long j) {
                 return j <= i ? s.decay(j + 1, i) : s.decay(i, j - 1);
               });
  expectOutput(both("  output o[V] = q @ S\n  S <- exp(d) * S + k * v"),
               [](const Sequence& s, long i, long j) {
                 return i == j ? 0 : j < i ? s.decay(j + 1, i - 1) : s.decay(i + 1, j - 1);
               });
  expectOutput(both("  S <- exp(d) * S\n  S <- S + k * v\n  S <- 2 * S\n  output o[V] = q @ S"),
               [](const Sequence& s, long i, long j) {
                 const double twos = std::pow(2, std::abs(i - j) + 1);
                 return twos * (j <= i ? s.decay(j + 1, i) : s.decay(i, j - 1));
               });
}

TEST(Directions, AStateInReverseSumsWhatFollows) {
  const std::string head = "variant v(K, V) {\n  input q[K], k[K], v[V], d in log\n"
                           "  state S[K, V] in reverse\n";
  expectOutput(head + "  S <- exp(d) * S + k * v\n  output o[V] = q @ S\n}",
               [](const Sequence& s, long i, long j) { return j < i ? 0 : s.decay(i, j - 1); });
  expectOutput(
      head + "  output o[V] = q @ S\n  S <- exp(d) * S + k * v\n}",
      [](const Sequence& s, long i, long j) { return j <= i ? 0 : s.decay(i + 1, j - 1); });
}

TEST(Directions, TheInitialStateOfAReverseOneStandsAtTheEnd) {
  const CompiledVariant variant =
      compileOne(both("  S <- exp(d) * S + k * v\n  output o[V] = q @ S"));
  Sequence sequence(variant);
  const Results from0 = interpret(variant, sequence.call, 0, 1);
  Tensor initial{{1, 1, 3, 2}, {1, 2, 3, 4, 5, 6}};
  sequence.call.inputs["S_reverse"] = initial;
  const Results found = interpret(variant, sequence.call, 0, 1);
  for (long i = 0; i < Sequence::tokens; ++i)
    for (long v = 0; v < 2; ++v) {
      double read = 0;
      for (long k = 0; k < 3; ++k)
        read += sequence.at("q", i)[k] * initial.data[k * 2 + v];
      EXPECT_NEAR(found.outputs.at("o").data[i * 2 + v] - from0.outputs.at("o").data[i * 2 + v],
                  read * sequence.decay(i, Sequence::tokens - 1), 1e-13);
    }
  EXPECT_EQ(found.states.at("S").data, from0.states.at("S").data);
  EXPECT_NEAR(found.states.at("S_reverse").data[5] - from0.states.at("S_reverse").data[5],
              6 * sequence.decay(0, Sequence::tokens - 1), 1e-13);
}

TEST(Directions, TheDeltaRuleActsOnWhatIsReadFromBothSides) {
  const CompiledVariant variant =
      compileOne(both("  S <- S + d * k * (v - k @ S)\n  output o[V] = q @ S"));
  const Sequence sequence(variant);
  const long tokens = Sequence::tokens, keys = Sequence::keys, values = Sequence::values;
  using State = std::vector<double>;
  const auto step = [&](State state, long token, bool isWritten) {
    const double *k = sequence.at("k", token), *v = sequence.at("v", token);
    for (long c = 0; c < values; ++c) {
      double error = isWritten ? v[c] : 0;
      for (long i = 0; i < keys; ++i)
        error -= k[i] * state[i * values + c];
      for (long i = 0; i < keys; ++i)
        state[i * values + c] += *sequence.at("d", token) * k[i] * error;
    }
    return state;
  };
  std::vector<State> forward{State(keys * values)}, reverse{State(keys * values)};
  for (long token = 0; token < tokens; ++token) {
    forward.push_back(step(forward.back(), token, true));
    reverse.push_back(step(reverse.back(), tokens - 1 - token, true));
  }
  Tensor expected{{1, tokens, 1, values}, {}};
  for (long token = 0; token < tokens; ++token) {
    const State later = step(reverse[tokens - 1 - token], token, false);
    for (long c = 0; c < values; ++c) {
      double sum = 0;
      for (long i = 0; i < keys; ++i)
        sum += sequence.at("q", token)[i] *
               (forward[token + 1][i * values + c] + later[i * values + c]);
      expected.data.push_back(sum);
    }
  }
  const Results found = interpret(variant, sequence.call, 0, 1);
  EXPECT_LE(distance(found.outputs.at("o"), expected), 1e-13);
  EXPECT_LE(distance(found.states.at("S_reverse"), {{1, 1, keys, values}, reverse.back()}), 1e-13);
  ASSERT_TRUE(variant.has(Stage::chunk));
  expectClose(interpret(variant, sequence.call, 5, 1), found, 1e-12, "chunks");
}

}  // namespace
}  // namespace lathe::test
