// The gradient of a scan in parts (compiler/passes/ScanGradient.h) against the adjoint.
#include "compiler/reference/Gradient.h"
#include "tests/compiler/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-10;

Tensor drawnLike(const Tensor& tensor, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  Tensor drawn{tensor.shape, {}};
  for (std::size_t i = 0; i < tensor.data.size(); ++i)
    drawn.data.push_back(normal(random));
  return drawn;
}

/// The sum over all but batch and head of S_T . dS_T.
Tensor productOf(const Tensor& state, const Tensor& gradient) {
  Tensor sum{{state.shape[0], state.shape[1]}, {}};
  const std::size_t count = std::size_t(state.shape[0] * state.shape[1]);
  const std::size_t size = state.data.size() / count;
  for (std::size_t head = 0; head < count; ++head) {
    double total = 0;
    for (std::size_t i = head * size; i < (head + 1) * size; ++i)
      total += state.data[i] * gradient.data[i];
    sum.data.push_back(total);
  }
  return sum;
}

/// The cumulative rule takes small gradients from sums of terms of the size of the inputs, here 1.
void expectNear(const Tensor& found, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(found.shape, expected.shape) << what;
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    difference += std::pow(found.data[i] - expected.data[i], 2);
    size += std::pow(expected.data[i], 2) + 1;
  }
  EXPECT_LT(std::sqrt(difference / size), tolerance) << what;
}

class ScanGradients : public testing::TestWithParam<const char*> {};

TEST_P(ScanGradients, AreThoseOfTheAdjoint) {
  const CompiledVariant variant = compileLibrary(GetParam());
  ASSERT_EQ(variant.noBackwardScans, "");
  ASSERT_EQ(variant.backwardScans.size(), 3u);
  for (const double gate : {0.3, 70.0}) {
    Arguments call = randomCall(variant, {2, 37, 3}, sizesFor(variant), gate);
    const Results forward = interpret(variant, call, 0, 1);
    std::mt19937_64 random(5);
    Cotangents sent;
    for (const auto& [name, tensor] : forward.outputs)
      sent.outputs[name] = drawnLike(tensor, random);
    for (const auto& [name, tensor] : forward.states)
      sent.states[name] = drawnLike(tensor, random);
    const Gradients expected = differentiate(variant, call, sent, 0, 1);

    Arguments given = call;
    for (const auto& [name, tensor] : sent.outputs)
      given.inputs["d." + name] = tensor;
    for (const auto& [name, tensor] : sent.states) {
      given.inputs["d." + name] = tensor;
      given.inputs[name + ".log_decay"] = productOf(forward.states.at(name), tensor);
    }
    Results found;
    const auto run = [&](const CompiledVariant::Part& part) {
      Arguments own;
      own.dims = given.dims;
      for (const Operand& operand : part.plan.operands)
        if (const auto at = given.inputs.find(operand.name); at != given.inputs.end())
          own.inputs.insert(*at);
      const Results results = reference::interpret(part.form.program, own, 0, 1);
      for (const auto& [name, tensor] : results.outputs)
        found.outputs[name] = given.inputs[name] = tensor;
      for (const auto& [name, tensor] : results.states)
        found.states[name] = tensor;
    };
    for (const CompiledVariant::Part& part : variant.backwardScans) {
      ASSERT_TRUE(part.plan.scan) << part.plan.variant;
      run(part);
    }
    if (variant.backwardRest)
      run(*variant.backwardRest);

    for (const auto& [name, gradient] : expected.inputs) {
      const std::string own = "d." + name;
      if (found.outputs.contains(own)) {
        expectNear(found.outputs.at(own), gradient, own);
        continue;
      }
      ASSERT_TRUE(found.states.contains(own)) << own;
      Tensor state = found.states.at(own);
      if (state.shape.size() > gradient.shape.size()) {  // A param: summed over the batch.
        Tensor sum{gradient.shape, std::vector<double>(gradient.data.size())};
        for (std::size_t i = 0; i < state.data.size(); ++i)
          sum.data[i % sum.data.size()] += state.data[i];
        state = sum;
      }
      expectNear(state, gradient, own);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Library, ScanGradients,
                         testing::Values("retnet", "simple_gla", "lightning", "mamba2"),
                         [](const auto& info) { return std::string(info.param); });

TEST(ScanGradient, SaysWhyThereIsNone) {
  EXPECT_EQ(compileLibrary("gla").noBackwardScans, "S decays over K");
  EXPECT_EQ(compileLibrary("linear_attention").noBackwardScans, "it has more than one state");
  EXPECT_TRUE(compileLibrary("gla").backwardScans.empty());
}

}  // namespace
}  // namespace lathe::test
