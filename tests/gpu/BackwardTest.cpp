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

/// [B,H,T,D], an input with fewer heads, all of a state's gradients.
TEST_F(BackwardCalls, OfTheLibraryAreRight) {
  std::vector<BackwardCase> cases;
  for (const std::string& variant : libraryNames())
    for (const DType dtype : {DType::bf16, DType::f32}) {
      BackwardCase backward = caseOf(variant);
      backward.one.dtype = dtype;
      backward.one.placement.layout = Layout::bhtd;
      shareHeads(backward);
      cases.push_back(backward);
    }
  expectRight(cases);
}

TEST_F(BackwardCalls, OfTheLibraryTakePackedSequences) {
  std::vector<BackwardCase> cases;
  for (const std::string& variant : libraryNames()) {
    BackwardCase backward = caseOf(variant);
    backward.one.shape = {1, 160, 4};
    backward.one.how.cuSeqlens = {3, 3, 68, 69, 150};
    backward.one.placement.gap = 8;
    cases.push_back(backward);
  }
  expectRight(cases);
}

TEST_F(BackwardCalls, OfTheLibraryKeepStrongGatesFinite) {
  std::vector<BackwardCase> cases;
  for (const std::string& variant : libraryNames()) {
    BackwardCase backward = caseOf(variant);
    if (backward.one.how.initialStates)
      backward.one.how.resets = 0.3;
    backward.one.how.repeatedKeys = true;
    cases.push_back(backward);
  }
  expectRight(cases);
}

/// Nothing is computed again, or little at a time.
TEST_F(BackwardCalls, KeepWhatTheTileSays) {
  std::vector<BackwardCase> cases;
  for (const char* variant : {"gla", "gated_delta_net", "lightnet"})
    for (const int chunk : {0, 1, 8, 100}) {
      BackwardCase backward = caseOf(variant);
      Tile tile = backwardTileOf(backward);
      tile.chunk = chunk;
      backward.one.tile = tile;
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
