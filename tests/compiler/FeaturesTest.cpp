// The functions that go along a dimension, against their formulas: token by token, and in chunks.
#include "compiler/cuda/Space.h"
#include "compiler/reference/Steps.h"
#include "tests/compiler/Support.h"

#include <functional>

namespace lathe::test {
namespace {

/// A variant whose output y is a function of the input x alone.
std::string variantOf(const std::string& header, const std::string& output) {
  return "variant v(" + header + ") {\n  input x[K]\n  state z[K]\n  z <- z + x\n  output " +
         output + "\n  output s[K] = z\n}\n";
}

/// Compares y with `formula(x, position)`, and the chunk form with the token form.
void expectFormula(const std::string& text, std::map<std::string, int> dims,
                   const std::function<std::vector<double>(const double*, long)>& formula) {
  const CompiledVariant variant = compileOne(text);
  const Extent extent{2, 11, 3};
  const Arguments call = randomCall(variant, extent, std::move(dims));
  const Results found = interpret(variant, call, 0, 1);
  const Tensor& x = call.inputs.at("x");
  Tensor expected{found.outputs.at("y").shape, {}};
  const long size = x.shape[3];
  for (long token = 0; token < static_cast<long>(x.data.size()) / size; ++token)
    for (double element :
         formula(x.data.data() + token * size, token / extent.heads % extent.tokens))
      expected.data.push_back(element);
  ASSERT_EQ(expected.data.size(), found.outputs.at("y").data.size());
  EXPECT_LE(distance(found.outputs.at("y"), expected), 1e-14);
  ASSERT_TRUE(variant.has(Stage::chunk)) << text;
  for (int chunk : {1, 4, 16})
    expectClose(interpret(variant, call, chunk, 1), found, 1e-13, text);
}

TEST(Features, SineAndCosine) {
  expectFormula(variantOf("K", "y[K] = sin(x) + 2 * cos(3 * x)"), {{"K", 5}},
                [](const double* x, long) {
                  std::vector<double> y;
                  for (int i = 0; i < 5; ++i)
                    y.push_back(std::sin(x[i]) + 2 * std::cos(3 * x[i]));
                  return y;
                });
}

TEST(Features, RopeTurnsPairsByThePosition) {
  expectFormula(variantOf("K", "y[K] = rope(x)"), {{"K", 6}}, [](const double* x, long position) {
    std::vector<double> y(6);
    for (int d = 0; d < 3; ++d) {
      const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * d / 6);
      y[d] = x[d] * std::cos(angle) - x[d + 3] * std::sin(angle);
      y[d + 3] = x[d + 3] * std::cos(angle) + x[d] * std::sin(angle);
    }
    return y;
  });
}

TEST(Features, TaylorFeaturesStandRowByRow) {
  expectFormula(variantOf("K, F = taylor2(K)", "y[F] = taylor2(x)"), {{"K", 3}},
                [](const double* x, long) {
                  std::vector<double> y{1, x[0], x[1], x[2]};
                  for (int i = 0; i < 3; ++i)
                    for (int j = 0; j < 3; ++j)
                      y.push_back(x[i] * x[j] / std::sqrt(2.0));
                  return y;
                });
}

TEST(Features, TheirProductsAreTheSeriesOfTheExponential) {
  expectFormula(variantOf("K, F = taylor2(K)", "y = taylor2(x) @ taylor2(2 * x)"), {{"K", 4}},
                [](const double* x, long) {
                  double dot = 0;
                  for (int i = 0; i < 4; ++i)
                    dot += 2 * x[i] * x[i];
                  return std::vector<double>{1 + dot + dot * dot / 2};
                });
}

TEST(Features, TheAdjointOfTaylorFeaturesIsTheirDerivative) {
  using namespace reference;
  const long size = 3, tokens = 2;
  const Sizes sizes{{"token", tokens}, {"K", size}, {"F", 1 + size + size * size}};
  const long features = sizes.at("F");
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  std::vector<double> x(tokens * size), d(tokens * features), dx(x.size());
  for (std::vector<double>* some : {&x, &d})
    for (double& element : *some)
      element = normal(random);
  taylorAdjointStep({{"token", "K"}, dx.data()}, {{"token", "K"}, x.data()},
                    {{"token", "F"}, d.data()}, "K", "F", sizes)();
  const auto weighted = [&] {
    std::vector<double> y(d.size());
    taylorStep({{"token", "F"}, y.data()}, {{"token", "K"}, x.data()}, "K", "F", sizes)();
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
      sum += d[i] * y[i];
    return sum;
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double kept = x[i], step = 1e-5;
    x[i] = kept + step;
    const double above = weighted();
    x[i] = kept - step;
    const double below = weighted();
    x[i] = kept;
    EXPECT_NEAR(dx[i], (above - below) / (2 * step), 1e-9) << i;
  }
}

TEST(Features, TheRotationIsMinusItsOwnAdjoint) {
  using namespace reference;
  const Sizes sizes{{"K", 4}};
  std::vector<double> x{1, 2, 3, 4}, once(4), twice(4);
  rotateStep({{"K"}, once.data()}, {{"K"}, x.data()}, "K", sizes)();
  rotateStep({{"K"}, twice.data()}, {{"K"}, once.data()}, "K", sizes)();
  EXPECT_EQ(once, (std::vector<double>{-3, -4, 1, 2}));
  EXPECT_EQ(twice, (std::vector<double>{-1, -2, -3, -4}));
}

const char* const based = R"(variant based(K, F = taylor2(K), V) {
  input q[K], k[K], v[V]
  let fk = taylor2(k)
  state S[F, V], z[F]
  S <- S + fk * v
  z <- z + fk
  let fq = taylor2(q)
  output o[V] = (fq @ S) / (fq @ z)
})";

TEST(Features, StatesHaveDerivedDimensions) {
  const CompiledVariant variant = compileOne(based);
  Arguments call = randomCall(variant, {2, 19, 2}, {{"K", 3}, {"V", 4}, {"F", 13}}, 0, false);
  const Results given = interpret(variant, call, 0, 1);
  EXPECT_EQ(given.states.at("S").shape, (std::vector<std::int64_t>{2, 2, 13, 4}));
  call.dims.erase("F");
  expectClose(interpret(variant, call, 0, 1), given, 0, "a size that is left out");
  ASSERT_TRUE(variant.has(Stage::chunk));
  expectClose(interpret(variant, call, 7, 1), given, 1e-12, "chunks");
}

std::string errorOf(const CompiledVariant& variant, const Arguments& call) {
  try {
    interpret(variant, call, 0, 3);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(FeatureErrors, SizesThatDoNotFit) {
  const CompiledVariant variant = compileOne(based);
  Arguments call = randomCall(variant, {1, 2, 2}, {{"K", 3}, {"V", 2}, {"F", 13}}, 0, false);
  call.dims["F"] = 12;
  EXPECT_EQ(errorOf(variant, call),
            "variant based: the dimension F has the size 12; it is taylor2(K) of K = 3, so it must "
            "be 13, or left out");
  const CompiledVariant turned = compileOne(variantOf("K", "y[K] = rope(x)"));
  call = randomCall(turned, {1, 2, 2}, {{"K", 4}});
  call.dims["K"] = 5;
  EXPECT_EQ(errorOf(turned, call),
            "variant v: the dimension K has the size 5; rope turns pairs of elements, so it must "
            "be even");
}

TEST(Features, KernelsHaveThemInTheGeneralForm) {
  for (const std::string& text :
       {std::string(based), variantOf("K", "y[K] = rope(x)"),
        std::string("variant r(K) {\n input k[K]\n state z[K] in reverse\n"
                    " z <- z + k\n output o[K] = z\n}")}) {
    const Plan plan = compileOne(text).plan;
    EXPECT_EQ(plan.noKernel, "");
    EXPECT_FALSE(plan.scan);
    Signature signature;
    signature.dims = {{"K", 4}, {"V", 4}, {"F", 21}};
    signature.dtypes.assign(plan.operands.size(), DType::f32);
    for (Family family : {Family::step, Family::sequential})
      EXPECT_EQ(candidates(plan, family, signature, knownDevice("sm_90a"), 1).tiles.front().form,
                Form::general)
          << text;
  }
}

}  // namespace
}  // namespace lathe::test
