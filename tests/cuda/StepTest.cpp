// How one token is written: the lanes of a column, what is computed ahead, the rounds of sums.
#include "tests/cuda/Library.h"

namespace lathe::test {
namespace {

const Tile kWide{0, 8, 32, 1, 16, 4};

std::string textOf(const Plan& plan, Family family, const Tile& tile) {
  return emit(plan, family, signatureOf(plan, 128, 128), tile).text;
}

std::string stepOf(const std::string& variant, const Tile& tile = kWide) {
  return textOf(libraryPlan(variant), Family::step, tile);
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

/// Rounds in which the lanes of a column exchange sums, of one token.
int rounds(const std::string& text) { return count(text, "combineOverSplit<Variant, "); }

/// The lanes of a step read whole lines of the state and exchange sums between warps; those of the
/// sequential family keep a sum within a warp, as it has one for every token.
TEST(Step, SpreadsAColumnOverWarps) {
  std::string step = stepOf("gated_delta_net");
  EXPECT_NE(step.find("kColumnsFirst = 1;"), std::string::npos);
  EXPECT_NE(step.find("kSplitWarps = 4;"), std::string::npos);
  EXPECT_NE(step.find("__launch_bounds__(128, 4)"), std::string::npos);
  EXPECT_NE(stepOf("gated_delta_net", {0, 8, 8, 1, 16, 4}).find("kSplitWarps = 1;"),
            std::string::npos);
  std::string sequential =
      textOf(libraryPlan("gated_delta_net"), Family::sequential, {0, 16, 32, 1, 16, 4});
  EXPECT_NE(sequential.find("kColumnsFirst = 0;"), std::string::npos);
  EXPECT_NE(sequential.find("kSplitWarps = 1;"), std::string::npos);
  EXPECT_NE(sequential.find("__launch_bounds__(128, 1)"), std::string::npos);
}

/// Of a normalised vector the block keeps the vector and its norm.
TEST(Step, ScalesAVectorWhereItIsUsed) {
  Plan plan = libraryPlan("gated_delta_net");
  KernelSource kernel = emit(plan, Family::step, signatureOf(plan, 128, 128), {0, 8, 16, 1, 32, 4});
  const int vectors = 4 * 8 * (128 + 128 + 16), slots = 4 * 8 * 5, targets = 8 * 2;
  const int packs = 3,
            exchange = 2 * 4 * 4 * packs * 16;  // Two buffers, warps, lanes, four floats.
  EXPECT_EQ(kernel.sharedBytes, std::size_t(vectors + slots + targets + exchange));
}

/// What reads a state that rank-1 terms have changed does not wait for their sums.
TEST(Step, ReadsANewStateOffSumsOverTheOldOne) {
  for (const char* variant : {"retnet", "gla", "linear_attention", "delta_net", "gated_delta_net",
                              "kda", "rwkv7", "comba", "gated_delta_product", "rwkv6"})
    EXPECT_EQ(rounds(stepOf(variant, {0, 8, 128, 1, 8, 4})), 1) << variant;
  Plan twice = planOf("variant twice(K, V) {\n  input q[K], k[K], v[V]\n  state S[K, V]\n"
                      "  S <- S + k * (v - k @ S)\n  S <- S + k * tanh(k @ S)\n"
                      "  output o[V] = q @ S\n}\n",
                      "twice");
  EXPECT_GT(rounds(textOf(twice, Family::step, kWide)), 1);
}

TEST(Step, CutsWhatItComputesAheadIntoTasks) {
  EXPECT_NE(stepOf("gated_delta_net").find("kTasks = 4;"), std::string::npos);  // Scalars, q, k, v.
  EXPECT_NE(stepOf("gla").find("kTasks = 4;"), std::string::npos);
  // k, a, xi and alpha meet in the key.
  EXPECT_NE(stepOf("rwkv7").find("kTasks = 4;"), std::string::npos);
}

/// A task makes the scalars that it needs: no warp waits for another's.
TEST(Step, KeepsNoScalarsForItsOwnTasks) {
  Plan plan = libraryPlan("longhorn");
  auto shared = [&](Family family) {
    return emit(plan, family, signatureOf(plan, 128, 128), kWide).text;
  };
  EXPECT_EQ(count(shared(Family::step), "__syncwarp"), 0);
  EXPECT_EQ(count(shared(Family::step), "scalarProgram"), 0);
  EXPECT_GT(count(shared(Family::sequential), "scalarProgram"), 0);
}

/// A slot that is none: no state is touched, and the outputs are zeros.
TEST(Step, WritesZerosForRowsWithoutAState) {
  std::string text = stepOf("mamba2");
  size_t skip = text.find("void skip(");
  ASSERT_NE(skip, std::string::npos);
  EXPECT_NE(text.find("y[c] = 0.0f;", skip), std::string::npos);
}

/// templates/device/sequence.cuh: the quotient by a reciprocal is exact for all numbers of heads.
TEST(Step, DividesByReciprocals) {
  auto quotient = [](std::int32_t a, std::int32_t b) {
    std::int32_t q = std::int32_t(std::uint64_t(a) * reciprocal(b) >> 32);
    return a - q * b >= b ? q + 1 : q;
  };
  constexpr std::int32_t most = 2147483647;
  for (std::int32_t b :
       {1, 2, 3, 4, 5, 7, 31, 32, 48, 65535, 65536, 65537, 1 << 30, most - 1, most})
    for (std::int64_t a : {0L, 1L, b - 1L, long(b), b + 1L, 2L * b - 1, 2L * b, 46341L * 46340L,
                           long(most) / b * b - 1, long(most) / b * b, long(most) - 1, long(most)})
      if (a >= 0 && a <= most) {
        EXPECT_EQ(quotient(std::int32_t(a), b), a / b) << a << " / " << b;
      }
  EXPECT_EQ(reciprocal(0), 0u);
}

}  // namespace
}  // namespace lathe::test
