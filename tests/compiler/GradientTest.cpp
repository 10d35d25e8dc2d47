// The adjoint of every form against central differences of the interpreter.
#include "tests/compiler/RandomSpecs.h"
#include "tests/compiler/Specs.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-6;
constexpr double step = 1e-5;

Tensor randomLike(const Tensor& tensor, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  Tensor drawn{tensor.shape, {}};
  for (std::size_t i = 0; i < tensor.data.size(); ++i)
    drawn.data.push_back(normal(random));
  return drawn;
}

double dot(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape, b.shape);
  double sum = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i)
    sum += a.data[i] * b.data[i];
  return sum;
}

/// A loss that is linear in every output and final state.
struct Loss {
  Cotangents weights;

  /// States with a stabiliser are out of it: their scale moves with the call, and what a loss would
  /// see is their product with it.
  Loss(const CompiledVariant& variant, const Results& results, unsigned seed) {
    std::mt19937_64 random(seed);
    for (const auto& [name, tensor] : results.outputs)
      weights.outputs[name] = randomLike(tensor, random);
    for (const auto& [name, tensor] : results.states)
      if (!variant.isStabilised)
        weights.states[name] = randomLike(tensor, random);
  }

  double operator()(const Results& results) const {
    double sum = 0;
    for (const auto& [name, tensor] : weights.outputs)
      sum += dot(tensor, results.outputs.at(name));
    for (const auto& [name, tensor] : weights.states)
      sum += dot(tensor, results.states.at(name));
    return sum;
  }
};

/// The derivative of the loss along a direction of one tensor of the call.
double slope(const CompiledVariant& variant, const Arguments& call, const Loss& loss,
             const std::string& name, const Tensor& direction) {
  double ends[2];
  for (int side : {0, 1}) {
    Arguments moved = call;
    std::vector<double>& data = moved.inputs.at(name).data;
    for (std::size_t i = 0; i < data.size(); ++i)
      data[i] += (side ? step : -step) * direction.data[i];
    ends[side] = loss(interpret(variant, moved, 0, 1));
  }
  return (ends[1] - ends[0]) / (2 * step);
}

double slopeOfConst(const CompiledVariant& variant, const Arguments& call, const Loss& loss,
                    const std::string& name) {
  double ends[2];
  for (int side : {0, 1}) {
    Arguments moved = call;
    moved.constants.at(name) += side ? step : -step;
    ends[side] = loss(interpret(variant, moved, 0, 1));
  }
  return (ends[1] - ends[0]) / (2 * step);
}

/// Along random directions of every tensor: an error in any element shows, whatever its place.
void expectGradients(const CompiledVariant& variant, Arguments call, const std::string& what) {
  for (const Operand& operand : variant.plan.operands)
    if (operand.kind == Operand::Kind::constant)
      call.constants[operand.name] = operand.name == "M" ? 100 : 0.7;  // cosformer's length
  std::erase_if(call.inputs, [](const auto& input) { return input.first.ends_with(".log_scale"); });
  const Loss loss(variant, interpret(variant, call, 0, 1), 3);
  std::mt19937_64 random(11);
  std::map<std::string, std::vector<std::pair<Tensor, double>>> slopes;
  for (const auto& [name, tensor] : call.inputs)
    for (int repeat = 0; repeat < 3; ++repeat) {
      const Tensor direction = randomLike(tensor, random);
      slopes[name].emplace_back(direction, slope(variant, call, loss, name, direction));
    }
  std::map<std::string, double> constSlopes;
  for (const auto& [name, number] : call.constants)
    constSlopes[name] = slopeOfConst(variant, call, loss, name);

  for (int chunk : {0, 1, 3, 16}) {
    if (chunk && !variant.has(Stage::chunk))
      continue;
    const std::string where = what + ", chunk " + std::to_string(chunk);
    const Gradients found = differentiate(variant, call, loss.weights, chunk, 1);
    EXPECT_EQ(found.inputs.size(), call.inputs.size()) << where;
    for (const auto& [name, expected] : slopes)
      for (const auto& [direction, value] : expected) {
        const Tensor& gradient = found.inputs.at(name);
        const double scale = std::sqrt(dot(gradient, gradient)) + std::abs(value) + 1e-3;
        EXPECT_NEAR(dot(gradient, direction), value, tolerance * scale) << where << ", " << name;
      }
    for (const auto& [name, value] : constSlopes)
      EXPECT_NEAR(found.constants.at(name), value, tolerance * (std::abs(value) + 1))
          << where << ", const " << name;
  }
}

class LibraryGradients : public testing::TestWithParam<std::string> {};

TEST_P(LibraryGradients, AreCentralDifferences) {
  const CompiledVariant variant = compileLibrary(GetParam());
  for (std::int64_t tokens : {1, 7, 65})
    expectGradients(variant, randomCall(variant, {2, tokens, 2}, sizesFor(variant)),
                    GetParam() + ", " + std::to_string(tokens) + " tokens");
}

INSTANTIATE_TEST_SUITE_P(Variants, LibraryGradients, testing::ValuesIn(library()),
                         [](const auto& info) { return info.param; });

class SpecGradients : public testing::TestWithParam<Named> {};

TEST_P(SpecGradients, AreCentralDifferences) {
  const CompiledVariant variant = compileOne(GetParam().text);
  for (std::int64_t tokens : {1, 19})
    expectGradients(variant, randomCall(variant, {1, tokens, 2}, sizesFor(variant)),
                    GetParam().name + ", " + std::to_string(tokens) + " tokens");
}

INSTANTIATE_TEST_SUITE_P(Variants, SpecGradients, testing::ValuesIn(specs()),
                         [](const auto& info) { return info.param.name; });

/// Whatever form they take, and whatever their gates: nothing here was written with a pass in mind.
TEST(Gradients, OfRandomSpecs) {
  RandomSpec specs(20);
  int chunked = 0;
  for (int i = 0; i < 150; ++i) {
    const std::string text = specs.draw();
    const CompiledVariant variant = compileOne(text);
    const Arguments call = randomCall(variant, {1, 9, 2}, {{"K", 3}, {"V", 4}});
    expectGradients(variant, call, text);
    if (!variant.has(Stage::chunk))
      continue;
    ++chunked;
    for (int chunk : {1, 4})
      expectClose(interpret(variant, call, chunk, 1), interpret(variant, call, 0, 1), 1e-11, text);
  }
  EXPECT_GT(chunked, 75);
}

/// Every scalar function, in the token form alone.
TEST(Gradients, OfEveryFunction) {
  for (const std::string function : {"exp(x)",           "log(1.5 + x * x)", "sqrt(1 + x * x)",
                                     "rsqrt(1 + x * x)", "abs(x)",           "tanh(x)",
                                     "sigmoid(x)",       "logsigmoid(x)",    "softplus(x)",
                                     "relu(x)",          "silu(x)",          "elu(x)",
                                     "min(x, 0.3)",      "max(0.2, x)",      "clamp(x, -0.5, 0.5)",
                                     "l2norm(x)",        "rmsnorm(x)",       "softmax(x)",
                                     "-x / (2 + x * x)", "x - sum(x)",       "sin(x)",
                                     "cos(x * x)",       "rope(x)"}) {
    const CompiledVariant variant = compileOne("variant v(K, V) {\n  input x[K], v[V]\n"
                                               "  state S[K, V]\n  S <- tanh(S) + x * v\n"
                                               "  output o[V] = (" +
                                               function + ") @ S\n}\n");
    expectGradients(variant, randomCall(variant, {1, 5, 1}, {{"K", 4}, {"V", 3}}), function);
  }
}

TEST(Gradients, DerivedSizesNeedNotBeGiven) {
  for (const Named& spec : specs()) {
    if (spec.name != "taylor_features")
      continue;
    const CompiledVariant variant = compileOne(spec.text);
    Arguments call = randomCall(variant, {1, 5, 1}, sizesFor(variant));
    const Gradients given = differentiate(variant, call, {}, 0, 1);
    call.inputs.erase("S");
    call.inputs.erase("z");
    call.dims.erase("F");
    const Gradients found = differentiate(variant, call, {}, 0, 1);
    EXPECT_EQ(found.inputs.at("k").shape, given.inputs.at("k").shape);
  }
}

TEST(Gradients, OfGroupedHeadsAreSummed) {
  const CompiledVariant variant = compileLibrary("gla");
  Arguments call = randomCall(variant, {2, 9, 4}, {{"K", 3}, {"V", 2}});
  for (const std::string name : {"q", "k"}) {
    call.inputs[name].shape[2] = 2;
    call.inputs[name].data.resize(call.inputs[name].data.size() / 2);
  }
  expectGradients(variant, call, "grouped heads");
}

/// Gates of any strength: no exponent that could overflow is formed on the way back either.
TEST(Gradients, StayFiniteUnderStrongGates) {
  const CompiledVariant variant = compileLibrary("gla");
  const Arguments call = randomCall(variant, {1, 40, 1}, {{"K", 4}, {"V", 3}}, 1000);
  const Loss loss(variant, interpret(variant, call, 0, 1), 3);
  const Gradients token = differentiate(variant, call, loss.weights, 0, 1);
  const Gradients chunk = differentiate(variant, call, loss.weights, 16, 1);
  for (const auto& [name, tensor] : token.inputs) {
    for (double number : tensor.data)
      ASSERT_TRUE(std::isfinite(number)) << name;
    EXPECT_LE(distance(chunk.inputs.at(name), tensor), 1e-10) << name;
  }
}

TEST(Gradients, AreZeroWhereTheLossSeesNothing) {
  const CompiledVariant variant = compileLibrary("gla");
  const Arguments call = randomCall(variant, {1, 5, 1}, {{"K", 4}, {"V", 3}});
  for (const auto& [name, tensor] : differentiate(variant, call, {}, 0, 1).inputs)
    for (double number : tensor.data)
      EXPECT_EQ(number, 0) << name;
}

TEST(Gradients, RefuseACotangentOfNothing) {
  const CompiledVariant variant = compileLibrary("gla");
  const Arguments call = randomCall(variant, {1, 5, 1}, {{"K", 4}, {"V", 3}});
  Cotangents wrong;
  wrong.outputs["p"] = Tensor{{1}, {1.0}};
  EXPECT_THROW(differentiate(variant, call, wrong, 0, 1), std::invalid_argument);
}

}  // namespace
}  // namespace lathe::test
