// The adjoint of every variant as a plan, as sweeps and as a kernel.
#include "compiler/cuda/Backward.h"

#include "compiler/cuda/GraphSweeps.h"
#include "tests/cuda/Library.h"

namespace lathe::test {
namespace {

CompiledVariant compiled(const std::string& name) {
  Diagnostics diagnostics;
  return compile(libraryText(name), name + ".lathe", diagnostics).at(0);
}

Signature completed(const CompiledVariant& variant) {
  Signature signature = signatureOf(variant.plan, 16, 16);
  for (const std::string& dim : variant.plan.dims)
    if (std::none_of(variant.plan.rules.derived.begin(), variant.plan.rules.derived.end(),
                     [&](const DerivedDim& derived) { return derived.dim == dim; }))
      signature.dims[dim] = 16;
  signature.dims = completeDims(variant.plan.variant, variant.plan.rules, signature.dims);
  return signature;
}

TEST(Backward, HasAKernelForEveryVariant) {
  for (const std::string& name : libraryNames()) {
    const CompiledVariant variant = compiled(name);
    const Signature signature = completed(variant);
    const Signature own = adjointSignature(variant.plan, variant.backward, signature);
    const Tile tile =
        candidates(variant.backward, Family::sequential, own, knownDevice("sm_90a"), 32)
            .tiles.front();
    const KernelSequence sequence =
        emitSequentialBackward(variant.plan, variant.backward, signature, tile);
    const KernelSequence again =
        emitSequentialBackward(variant.plan, variant.backward, signature, tile);
    ASSERT_FALSE(sequence.steps.empty()) << name;
    const auto& step = std::get<KernelStep>(sequence.steps.front());
    EXPECT_EQ(step.source.text, std::get<KernelStep>(again.steps.front()).source.text) << name;
    // What is given back is summed over heads, sequences or both.
    for (const Operand& operand : variant.plan.operands) {
      if (operand.kind == Operand::Kind::output || operand.kind == Operand::Kind::state)
        continue;
      const auto sum =
          std::find_if(sequence.steps.begin(), sequence.steps.end(), [&](const auto& one) {
            const auto* own = std::get_if<SumStep>(&one);
            return own && own->to == "d." + operand.name;
          });
      ASSERT_NE(sum, sequence.steps.end()) << name << ", " << operand.name;
      EXPECT_EQ(std::get<SumStep>(*sum).over,
                operand.kind == Operand::Kind::input   ? SumStep::Over::heads
                : operand.kind == Operand::Kind::param ? SumStep::Over::sequences
                                                       : SumStep::Over::all);
    }
  }
}

TEST(Backward, GivesGradientsTheDtypeOfWhatTheyBelongTo) {
  const CompiledVariant variant = compiled("mamba2");
  Signature signature = completed(variant);
  for (std::size_t i = 0; i < variant.plan.operands.size(); ++i)
    if (variant.plan.operands[i].name == "dt")
      signature.dtypes[i] = DType::f16;
  const Signature own = adjointSignature(variant.plan, variant.backward, signature);
  for (std::size_t i = 0; i < variant.backward.operands.size(); ++i) {
    const std::string& name = variant.backward.operands[i].name;
    const bool isGate = name == "d.dt", isVector = name == "d.B" || name == "d.y";
    const bool isSum = name == "d.A_log" || name == "d.S";
    if (isGate || isVector || isSum) {
      EXPECT_EQ(own.dtypes[i], isGate ? DType::f16 : isVector ? DType::bf16 : DType::f32) << name;
    }
  }
}

/// The new state is made again from the old one.
TEST(Backward, KeepsOneStateOfAToken) {
  const CompiledVariant variant = compiled("gla");
  const cuda::Graph graph(variant.backward);
  const std::vector<cuda::GraphSweep> sweeps = cuda::sweepsOf(graph);
  ASSERT_EQ(sweeps.size(), 2U);
  int wide = 0;
  for (const int value : sweeps[0].kept)
    wide += graph.values[value].isWide();
  EXPECT_EQ(wide, 1);
  EXPECT_EQ(sweeps[0].kept, sweeps[1].given);

  const std::vector<cuda::GraphSweep> replays = cuda::replaysOf(sweeps, 1, {});
  ASSERT_EQ(replays.size(), 1U);
  EXPECT_EQ(replays[0].kept, sweeps[0].kept);
  EXPECT_TRUE(replays[0].outputs.empty());
  EXPECT_TRUE(cuda::replaysOf(sweeps, 0, {}).empty());
}

TEST(Backward, KeepsAllOrRecomputesAsTheTileSays) {
  const CompiledVariant variant = compiled("gla");
  const Signature own = adjointSignature(variant.plan, variant.backward, completed(variant));
  Tile tile{64, 4, 32, 1, 8, 4, Form::general};
  const KernelSource spans = emit(variant.backward, Family::sequential, own, tile);
  EXPECT_EQ(spans.replay.span, 64);
  EXPECT_EQ(spans.replay.checkpointBytes, 16 * 16 * sizeof(float));
  EXPECT_EQ(spans.tokenBytes, 0U);
  tile.chunk = 0;
  const KernelSource all = emit(variant.backward, Family::sequential, own, tile);
  EXPECT_EQ(all.replay.span, 0);
  EXPECT_EQ(spans.replay.roomBytes, 64 * all.tokenBytes);
  tile.chunk = -1;
  try {
    emit(variant.backward, Family::sequential, own, tile);
    ADD_FAILURE() << "a negative chunk was accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "sequential of 'gla' with tile c-1 b4 v32 s1 k8 x4 general: chunk "
                               "must be 0 or the tokens between two checkpoints");
  }
}

}  // namespace
}  // namespace lathe::test
