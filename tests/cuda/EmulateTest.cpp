// The general form on the processor, against the interpreter: what a GPU would compute, with no
// GPU.
#include "tests/cuda/Emulate.h"

#include "tests/cuda/GeneralSpecs.h"
#include "tests/cuda/Library.h"
#include "tuner/Numbers.h"
#include "tuner/Workload.h"

#include <limits>
#include <memory>

namespace lathe::test {
namespace {

/// A tensor in memory, as the call passes it.
struct HostMemory {
  std::vector<std::byte> bytes;
  TensorView view;
};

HostMemory memoryOf(const HostTensor& tensor, DType dtype) {
  HostMemory memory;
  memory.bytes.resize(tensor.data.size() * std::size_t(bytes(dtype)));
  encode(dtype, tensor.data.data(), std::int64_t(tensor.data.size()), memory.bytes.data());
  memory.view = contiguous(memory.bytes.data(), dtype, tensor.shape);
  // Strides of a tensor without elements are those of one that has some.
  std::int64_t stride = 1;
  for (std::size_t axis = tensor.shape.size(); axis-- > 0;) {
    memory.view.strides[axis] = stride;
    stride *= std::max<std::int64_t>(1, tensor.shape[axis]);
  }
  return memory;
}

struct Emulation {
  CompiledVariant variant;
  Family family;
  Signature signature;
  Tile tile;
  Shape shape;
  bool initialStates = true;
};

void expectRight(const Emulation& one) {
  const Plan& plan = one.variant.plan;
  SCOPED_TRACE(plan.variant + " " + name(one.family) + " " + toString(one.tile) + ", T " +
               std::to_string(one.shape.tokens) + ", " + name(one.signature.compute));
  const KernelSource kernel = emit(plan, one.family, one.signature, one.tile);
  const Emulated emulated(kernel);
  Draw how;
  how.initialStates = one.initialStates;
  const HostCall host = draw(plan, one.signature, one.shape, how);

  Arguments arguments;
  arguments.dims = one.signature.dims;
  for (const auto* from : {&host.tensors, &host.initial})
    for (const auto& [operand, tensor] : *from)
      arguments.inputs[operand] = {tensor.shape, tensor.data};
  const Results expected = interpret(one.variant, arguments, 0, 1);

  Call call;
  std::map<std::string, HostMemory> memory, results;
  for (std::size_t i = 0; i < plan.operands.size(); ++i) {
    const Operand& operand = plan.operands[i];
    const DType dtype = one.signature.dtypes[i];
    auto poisoned = [&](const Tensor& like) {
      HostTensor tensor{like.shape, std::vector<double>(like.data.size(),
                                                        std::numeric_limits<double>::quiet_NaN())};
      return (results[operand.name] = memoryOf(tensor, dtype)).view;
    };
    auto given = [&](const HostTensor& tensor) {
      return (memory[operand.name] = memoryOf(tensor, dtype)).view;
    };
    if (operand.kind == Operand::Kind::output) {
      call.tensors[operand.name] = poisoned(expected.outputs.at(operand.name));
    } else if (operand.kind == Operand::Kind::state) {
      call.final[operand.name] = poisoned(expected.states.at(operand.name));
      if (auto initial = host.initial.find(operand.name); initial != host.initial.end())
        call.initial[operand.name] = given(initial->second);
    } else if (operand.kind != Operand::Kind::constant) {
      call.tensors[operand.name] = given(host.tensors.at(operand.name));
    }
  }
  LaunchPlan launch = bind(plan, kernel, one.signature, call);
  std::vector<float> workspace(launch.workspaceBytes / sizeof(float) + 64,
                               std::numeric_limits<float>::quiet_NaN());
  void* aligned = workspace.data();
  std::size_t room = workspace.size() * sizeof(float);
  std::align(256, launch.workspaceBytes, aligned, room);
  launch.useWorkspace({aligned, launch.workspaceBytes, 0});

  std::map<std::string, std::vector<std::byte>> first;
  for (unsigned seed : {1u, 2u}) {
    ASSERT_TRUE(emulated.run(launch, seed)) << "threads wait for others that never come";
    for (auto& [operand, result] : results)
      if (seed == 1)
        first[operand] = result.bytes;
      else
        EXPECT_EQ(first[operand], result.bytes) << operand << " depends on the order of warps";
  }
  const double limit = one.signature.compute == DType::f32 ? 1e-5 : 4e-3;
  for (const auto* all : {&expected.outputs, &expected.states})
    for (const auto& [operand, tensor] : *all) {
      const HostMemory& found = results.at(operand);
      HostTensor decoded{tensor.shape, std::vector<double>(tensor.data.size())};
      decode(found.view.dtype, found.bytes.data(), std::int64_t(tensor.data.size()),
             decoded.data.data());
      EXPECT_LE(errorRatio(decoded, {tensor.shape, tensor.data}), limit) << operand;
    }
}

CompiledVariant variantOf(const std::string& text, const std::string& name) {
  Diagnostics diagnostics;
  return compile(text, name + ".lathe", diagnostics).at(0);
}

/// Initial vectors are divided by in most variants; they start from zero, as a sequence does.
bool hasVectorState(const Plan& plan) {
  return std::any_of(plan.operands.begin(), plan.operands.end(), [](const Operand& operand) {
    return operand.kind == Operand::Kind::state && operand.dims.size() < 2;
  });
}

class Emulate : public testing::TestWithParam<Spec> {};

TEST_P(Emulate, EveryTileComputesWhatTheEquationSays) {
  const CompiledVariant variant = variantOf(GetParam().text, GetParam().name);
  for (const Tile& tile : generalTiles) {
    const bool isStep = tile.block == 1;
    Signature signature =
        librarySignature(variant.plan, 20, tile.columns == 1 ? DType::bf16 : DType::f32);
    if (signature.dims.count("V"))
      signature.dims["V"] = 36;
    expectRight({.variant = variant,
                 .family = isStep ? Family::step : Family::sequential,
                 .signature = signature,
                 .tile = tile,
                 .shape = {2, isStep ? 5 : 37, 2}});
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, Emulate, testing::ValuesIn(generalSpecs),
                         [](const auto& info) { return std::string(info.param.name); });

class EmulateLibrary : public testing::TestWithParam<const char*> {};

TEST_P(EmulateLibrary, DefaultTilesComputeWhatTheEquationSays) {
  const CompiledVariant variant = variantOf(libraryText(GetParam()), GetParam());
  Signature signature = librarySignature(variant.plan, 24);
  if (!variant.plan.rules.derived.empty())
    signature.dims = completeDims(variant.name, variant.plan.rules, {{"K", 4}, {"V", 24}});
  for (std::int64_t tokens : {0, 3, 41}) {
    const Family family = tokens > 8 ? Family::sequential : Family::step;
    const Tile tile =
        candidates(variant.plan, family, signature, knownDevice("sm_90a"), 4).tiles.front();
    EXPECT_EQ(tile.form, Form::general);
    expectRight({.variant = variant,
                 .family = family,
                 .signature = signature,
                 .tile = tile,
                 .shape = {2, tokens, 2},
                 .initialStates = !hasVectorState(variant.plan)});
  }
}

INSTANTIATE_TEST_SUITE_P(Library, EmulateLibrary,
                         testing::Values("abc", "based", "gated_output", "gsa", "hedgehog", "mala",
                                         "relu_linear", "vig"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
