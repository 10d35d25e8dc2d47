// Gradients of whole calls: params summed over the batch, consts over all, inputs over the heads
// that read them.
#include "compiler/cpu/Gradient.h"
#include "tests/cpu/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-5;

std::vector<float> toFloat(const Tensor& tensor) {
  return {tensor.data.begin(), tensor.data.end()};
}

Tensor fromFloat(const std::vector<float>& data, const std::vector<std::int64_t>& shape) {
  return {shape, {data.begin(), data.end()}};
}

/// A call of the adjoint of retnet with every input, and memory for every gradient.
struct RetnetCall {
  CompiledVariant variant = compileLibrary("retnet");
  Arguments arguments;
  Cotangents cotangents;
  std::map<std::string, std::vector<float>> data, gradients;
  cpu::Call call;
  float scale = 0;

  explicit RetnetCall(std::int64_t keyHeads) {
    const std::map<std::string, int> dims{{"K", 4}, {"V", 18}};
    arguments = randomCall(variant, {3, 11, 4}, dims);
    const Arguments few = randomCall(variant, {3, 11, keyHeads}, dims, 0.3, true, 8);
    arguments.inputs["q"] = few.inputs.at("q");
    arguments.inputs["k"] = few.inputs.at("k");
    roundInputs(arguments, {});
    const Arguments sent = randomCall(variant, {3, 11, 4}, dims, 0.3, true, 9);
    cotangents.outputs["o"] = sent.inputs.at("v");
    cotangents.states["S"] = sent.inputs.at("S");
    for (const auto& [name, tensor] : arguments.inputs) {
      const cpu::TensorView view = add(data, name, tensor);
      (name == "S" ? call.initial : call.tensors)[name] = view;
      const cpu::TensorView gradient = add(gradients, "d." + name, tensor);
      (name == "S" ? call.final : call.tensors)["d." + name] = gradient;
    }
    call.tensors["d.o"] = add(data, "d.o", cotangents.outputs.at("o"));
    call.initial["d.S"] = add(data, "d.S", cotangents.states.at("S"));
    call.tensors["d.scale"] = {&scale, DType::f32, {}, {}};
  }

  static cpu::TensorView add(std::map<std::string, std::vector<float>>& all,
                             const std::string& name, const Tensor& tensor) {
    std::vector<float>& own = all[name] = toFloat(tensor);
    return cpu::contiguous(own.data(), DType::f32, tensor.shape);
  }

  cpu::Gradient kernel() const { return {variant.gradient.program, {arguments.dims, {}, 0}}; }

  Gradients expected() const { return differentiate(variant, arguments, cotangents, 0, 1); }
};

TEST(CpuSums, GradientsOfACallAreTheInterpreters) {
  for (const std::int64_t heads : {4, 2, 1}) {
    RetnetCall retnet(heads);
    const Gradients expected = retnet.expected();
    for (const int threads : {1, 3}) {
      retnet.call.threads = threads;
      retnet.kernel().run(retnet.call);
      for (const auto& [name, tensor] : expected.inputs)
        EXPECT_LE(distance(fromFloat(retnet.gradients.at("d." + name), tensor.shape), tensor),
                  tolerance)
            << name << ", " << heads << " heads of q and k";
      EXPECT_NEAR(retnet.scale, expected.constants.at("scale"),
                  tolerance * std::abs(expected.constants.at("scale")));
    }
  }
}

TEST(CpuSums, WhatIsNotWantedOrNotSentMayBeMissing) {
  RetnetCall retnet(2);
  retnet.cotangents.outputs.clear();
  const Gradients expected = retnet.expected();
  retnet.call.tensors.erase("d.o");
  retnet.call.tensors.erase("d.q");
  retnet.call.tensors.erase("d.gamma");
  retnet.call.tensors.erase("d.scale");
  retnet.call.final.clear();
  retnet.kernel().run(retnet.call);
  for (const std::string name : {"k", "v"})
    EXPECT_LE(distance(fromFloat(retnet.gradients.at("d." + name), expected.inputs.at(name).shape),
                       expected.inputs.at(name)),
              tolerance)
        << name;
}

TEST(CpuSums, TheGradientOfAParamHasItsShape) {
  RetnetCall retnet(4);
  retnet.call.tensors.at("d.gamma").shape = {3};
  try {
    retnet.kernel().run(retnet.call);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "variant retnet: d.gamma must be f32 and have the shape of the "
                               "param, [heads, dims]");
  }
  retnet.call.tensors.at("d.gamma").shape = {4};
  retnet.call.tensors.at("d.scale").shape = {1};
  EXPECT_THROW(retnet.kernel().run(retnet.call), std::invalid_argument);
}

}  // namespace
}  // namespace lathe::test
