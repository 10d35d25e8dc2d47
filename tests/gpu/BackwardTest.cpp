// The backward pass as callers make it: sums over heads and sequences, what is absent, any strides.
#include "tests/gpu/Backward.h"

#include <algorithm>

namespace lathe::test {
namespace {

/// Few registers, several spans of several blocks.
const Tile small = {16, 4, 32, 1, 8, 4, Form::general};

BackwardCase caseOf(const std::string& variant) {
  BackwardCase backward{.one = {.variant = variant, .shape = {2, 70, 4}}};
  const CompiledVariant& compiled = variantNamed(variant);
  // Vectors are divided by in most variants; they start from zero, as a sequence does.
  backward.one.how.initialStates = std::none_of(
      compiled.plan.operands.begin(), compiled.plan.operands.end(), [](const Operand& operand) {
        return operand.kind == Operand::Kind::state && operand.dims.size() < 2;
      });
  if (!compiled.plan.rules.derived.empty())
    backward.one.K = 16;
  return backward;
}

/// One vector input has half the heads.
void shareHeads(BackwardCase& backward) {
  for (const Operand& operand : variantNamed(backward.one.variant).plan.operands)
    if (operand.kind == Operand::Kind::input && !operand.dims.empty()) {
      backward.one.how.heads[operand.name] = 2;
      return;
    }
}

struct Backward : VariantTest {};

/// For the emulator, too (tests/emulator).
TEST_P(Backward, IsRightOnce) {
  BackwardCase backward = caseOf(variant());
  backward.one.dtype = DType::f32;
  backward.one.K = 8;
  backward.one.V = 12;
  backward.one.shape = {1, 37, 4};
  backward.one.tile = small;
  shareHeads(backward);
  BackwardCase packed = backward;
  packed.one.shape = {1, 45, 2};
  packed.one.how.heads.clear();
  packed.one.how.cuSeqlens = {1, 1, 18, 19, 40};
  expectRight({backward, packed});
}

TEST_P(Backward, IsRightInHalfPrecisionAndSingle) {
  std::vector<BackwardCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    for (const int keep : {16, 0}) {
      BackwardCase backward = caseOf(variant());
      backward.one.dtype = dtype;
      shareHeads(backward);
      Tile tile = backwardTileOf(backward);
      tile.chunk = keep;
      backward.one.tile = tile;
      backward.one.placement.layout = keep ? Layout::bhtd : Layout::bthd;
      backward.one.placement.gap = 8;
      cases.push_back(backward);
    }
  expectRight(cases);
}

TEST_P(Backward, TakesPackedSequences) {
  BackwardCase backward = caseOf(variant());
  backward.one.shape = {1, 160, 2};
  backward.one.how.cuSeqlens = {3, 3, 68, 69, 150};
  expectRight({backward});
}

TEST_P(Backward, KeepsStrongGatesFinite) {
  BackwardCase backward = caseOf(variant());
  backward.one.how.gateScale = backward.one.how.initialStates ? 70 : 1;
  backward.one.how.repeatedKeys = true;
  expectRight({backward});
}

INSTANTIATE_TEST_SUITE_P(Gpu, Backward, testing::ValuesIn([] {
                           static const std::vector<std::string> all = libraryNames();
                           std::vector<const char*> names;
                           for (const std::string& name : all)
                             names.push_back(name.c_str());
                           return names;
                         }()),
                         [](const auto& info) { return std::string(info.param); });

using BackwardCalls = GpuTest;

/// For the emulator, too (tests/emulator).
TEST_F(BackwardCalls, MayLeaveOutWhatIsNotWantedOrNotSent) {
  BackwardCase backward = caseOf("gated_delta_net");
  backward.one.dtype = DType::f32;
  backward.one.K = 8;
  backward.one.V = 12;
  backward.one.shape = {1, 20, 2};
  backward.one.tile = small;
  std::vector<BackwardCase> cases;
  for (const std::set<std::string>& absent : {std::set<std::string>{"d.o"},
                                              {"initial d.S"},
                                              {"d.q", "d.scale", "final d.S"},
                                              {"d.A_log", "d.k"}}) {
    backward.absent = absent;
    cases.push_back(backward);
  }
  expectRight(cases);
}

TEST_F(BackwardCalls, AreTheSameAHundredTimes) {
  std::vector<BackwardCase> cases;
  for (const char* variant : {"gla", "gated_delta_net", "mamba2", "mlstm"}) {
    BackwardCase backward = caseOf(variant);
    shareHeads(backward);
    backward.runs = 100;
    cases.push_back(backward);
  }
  expectRight(cases);
}

}  // namespace
}  // namespace lathe::test
