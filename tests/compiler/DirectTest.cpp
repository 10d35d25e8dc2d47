// The interpreter against loops written by hand from the papers.
#include "tests/compiler/Support.h"

#include <functional>

namespace lathe::test {
namespace {

using Vector = std::vector<double>;

/// The vectors of one token and head, by name; scalars have one element.
using Token = std::map<std::string, Vector>;

/// One step of a recurrence: reads a token, moves the states, gives the output.
using Cell = std::function<Vector(Token& token, Token& states)>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::log1p(std::exp(x)); }

Vector l2norm(Vector x) {
  double squares = 1e-6;
  for (double element : x)
    squares += element * element;
  for (double& element : x)
    element /= std::sqrt(squares);
  return x;
}

Vector read(const Vector& q, const Vector& state, std::size_t width) {
  Vector out(width);
  for (std::size_t k = 0; k < q.size(); ++k)
    for (std::size_t v = 0; v < width; ++v)
      out[v] += q[k] * state[k * width + v];
  return out;
}

Vector linearAttention(Token& t, Token& s) {
  const auto feature = [](Vector x) {
    for (double& element : x)
      element = element > 0 ? element + 1 : std::exp(element);
    return x;
  };
  const Vector q = feature(t["q"]), k = feature(t["k"]), &v = t["v"];
  double divisor = 0;
  for (std::size_t i = 0; i < k.size(); ++i) {
    s["z"][i] += k[i];
    divisor += q[i] * s["z"][i];
    for (std::size_t j = 0; j < v.size(); ++j)
      s["S"][i * v.size() + j] += k[i] * v[j];
  }
  Vector o = read(q, s["S"], v.size());
  for (double& element : o)
    element /= divisor;
  return o;
}

/// exp(decay) S + k v, read by q and scaled.
Vector gated(const Vector& q, const Vector& k, const Vector& v,
             const std::function<double(std::size_t)>& decay, double scale, Vector& state) {
  for (std::size_t i = 0; i < k.size(); ++i)
    for (std::size_t j = 0; j < v.size(); ++j)
      state[i * v.size() + j] = std::exp(decay(i)) * state[i * v.size() + j] + k[i] * v[j];
  Vector o = read(q, state, v.size());
  for (double& element : o)
    element *= scale;
  return o;
}

Vector retnet(Token& t, Token& s) {
  return gated(
      t["q"], t["k"], t["v"], [&](std::size_t) { return t["gamma"][0]; },
      1 / std::sqrt(t["q"].size()), s["S"]);
}

Vector gla(Token& t, Token& s) {
  return gated(
      t["q"], t["k"], t["v"], [&](std::size_t i) { return t["g"][i]; },
      1 / std::sqrt(t["q"].size()), s["S"]);
}

Vector mamba2(Token& t, Token& s) {
  const double step = softplus(t["dt"][0] + t["dt_bias"][0]);
  const double decay = -std::exp(t["A_log"][0]) * step;
  Vector k = t["B"];
  for (double& element : k)
    element *= step;
  Vector y = gated(t["C"], k, t["x"], [&](std::size_t) { return decay; }, 1, s["S"]);
  for (std::size_t j = 0; j < y.size(); ++j)
    y[j] += t["D"][0] * t["x"][j];
  return y;
}

Vector gatedDeltaNet(Token& t, Token& s) {
  const Vector k = l2norm(t["k"]), q = l2norm(t["q"]), &v = t["v"];
  Vector& state = s["S"];
  const double beta = sigmoid(t["b"][0]);
  const double decay = std::exp(-std::exp(t["A_log"][0]) * softplus(t["a"][0] + t["dt_bias"][0]));
  for (double& element : state)
    element *= decay;
  const Vector held = read(k, state, v.size());
  for (std::size_t i = 0; i < k.size(); ++i)
    for (std::size_t j = 0; j < v.size(); ++j)
      state[i * v.size() + j] += beta * k[i] * (v[j] - held[j]);
  Vector o = read(q, state, v.size());
  for (double& element : o)
    element /= std::sqrt(k.size());
  return o;
}

Results runDirectly(const CompiledVariant& variant, const Arguments& call, const Extent& extent,
                    const Cell& cell) {
  Results results;
  std::string output;
  std::int64_t outputWidth = 0;
  for (const Operand& operand : variant.plan.operands) {
    if (operand.kind == Operand::Kind::state)
      results.states[operand.name] = call.inputs.at(operand.name);
    if (operand.kind == Operand::Kind::output) {
      output = operand.name;
      outputWidth = call.dims.at(operand.dims[0]);
    }
  }
  results.outputs[output].shape = {extent.batch, extent.tokens, extent.heads, outputWidth};
  results.outputs[output].data.resize(extent.batch * extent.tokens * extent.heads * outputWidth);
  const auto slice = [](const Tensor& tensor, std::int64_t index, std::size_t axes) {
    std::int64_t width = 1;
    for (std::size_t axis = axes; axis < tensor.shape.size(); ++axis)
      width *= tensor.shape[axis];
    const auto first = tensor.data.begin() + index * width;
    return Vector(first, first + width);
  };
  for (std::int64_t b = 0; b < extent.batch; ++b)
    for (std::int64_t h = 0; h < extent.heads; ++h) {
      Token states;
      for (auto& [name, tensor] : results.states)
        states[name] = slice(tensor, b * extent.heads + h, 2);
      for (std::int64_t t = 0; t < extent.tokens; ++t) {
        Token token;
        for (const Operand& operand : variant.plan.operands) {
          const auto given = call.inputs.find(operand.name);
          if (operand.kind == Operand::Kind::input) {
            const std::int64_t own = given->second.shape[2];
            token[operand.name] =
                slice(given->second, (b * extent.tokens + t) * own + h / (extent.heads / own), 3);
          } else if (operand.kind == Operand::Kind::param) {
            token[operand.name] = slice(given->second, h, 1);
          }
        }
        const Vector o = cell(token, states);
        std::copy(o.begin(), o.end(),
                  results.outputs[output].data.begin() +
                      ((b * extent.tokens + t) * extent.heads + h) * outputWidth);
      }
      for (auto& [name, state] : states)
        std::copy(state.begin(), state.end(),
                  results.states[name].data.begin() +
                      (b * extent.heads + h) * static_cast<std::int64_t>(state.size()));
    }
  return results;
}

/// The whole library stands against NumPy in tests/variants; these need no Python.
TEST(Direct, InterpreterAgreesWithLoops) {
  const std::map<std::string, Cell> cells{{"linear_attention", linearAttention},
                                          {"retnet", retnet},
                                          {"mamba2", mamba2},
                                          {"gla", gla},
                                          {"gated_delta_net", gatedDeltaNet}};
  for (const auto& [name, cell] : cells) {
    const CompiledVariant variant = compileLibrary(name);
    const Extent extent{2, 33, 4};
    const Arguments call = randomCall(variant, extent, {{"K", 6}, {"V", 5}});
    expectClose(interpret(variant, call, 0, 2), runDirectly(variant, call, extent, cell), 1e-12,
                name);
    expectClose(interpret(variant, call, 16, 2), runDirectly(variant, call, extent, cell), 1e-12,
                name + " in chunks");
  }
}

TEST(Direct, HeadsOfAnInputAreShared) {
  const CompiledVariant variant = compileLibrary("gla");
  const Extent extent{1, 9, 6};
  Arguments call = randomCall(variant, extent, {{"K", 3}, {"V", 2}});
  for (const auto& [name, heads] : std::map<std::string, std::int64_t>{{"q", 2}, {"k", 3}}) {
    Tensor& tensor = call.inputs[name];
    tensor.shape[2] = heads;
    tensor.data.resize(9 * heads * 3);
  }
  expectClose(interpret(variant, call, 0, 1), runDirectly(variant, call, extent, gla), 1e-12,
              "grouped heads");
}

}  // namespace
}  // namespace lathe::test
