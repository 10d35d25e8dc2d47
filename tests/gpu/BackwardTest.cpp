// The backward pass as callers make it: sums over heads and sequences, what is absent, any strides.
#include "tests/gpu/Backward.h"

#include <algorithm>
#include <functional>

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

/// A call of retnet whose memory is never touched: binding reads none.
Call unreadCall() {
  Call call;
  auto view = [](std::vector<std::int64_t> shape) {
    return contiguous(reinterpret_cast<void*>(1 << 20), DType::f32, std::move(shape));
  };
  for (const char* name : {"q", "k", "d.q", "d.k"})
    call.tensors[name] = view({2, 20, 4, 8});
  for (const char* name : {"v", "d.o", "d.v"})
    call.tensors[name] = view({2, 20, 4, 12});
  for (const char* name : {"gamma", "d.gamma"})
    call.tensors[name] = view({4});
  return call;
}

/// For the emulator, too (tests/emulator).
TEST_F(BackwardCalls, SayWhatIsWrong) {
  BackwardCase backward = caseOf("retnet");
  backward.one.dtype = DType::f32;
  backward.one.K = 8;
  backward.one.V = 12;
  backward.one.tile = small;
  const std::unique_ptr<PreparedSequence> prepared = prepareBackward(backward);
  auto expectRefusal = [&](const std::string& text, const std::function<void(Call&)>& change) {
    Call call = unreadCall();
    change(call);
    try {
      prepared->bind(call);
      ADD_FAILURE() << "nothing was thrown; expected: " << text;
    } catch (const ArgumentError& error) {
      EXPECT_EQ(error.what(), text);
    }
  };
  EXPECT_GT(prepared->bind(unreadCall()).workspaceBytes, 65536U);
  EXPECT_THROW(prepared->launch(prepared->bind(unreadCall()), nullptr), ArgumentError);
  expectRefusal(
      "there is no argument 'd.z'; the backward pass of retnet takes q, k, v, gamma, d.o, "
      "d.q, d.k, d.v, initial S, final S, initial d.S, final d.S, initial d.gamma, "
      "final d.gamma, initial d.scale, final d.scale, d.gamma, d.scale",
      [](Call& call) { call.tensors["d.z"] = call.tensors["q"]; });
  expectRefusal("argument 'k' is missing; the backward pass of retnet reads it",
                [](Call& call) { call.tensors.erase("k"); });
  expectRefusal("there is no constant 'tau'; retnet has scale",
                [](Call& call) { call.constants["tau"] = 1; });
  expectRefusal("argument 'd.q' has shape [2, 20, 2, 8]; it must have [2, 20, 4, 8]",
                [](Call& call) { call.tensors["d.q"].shape[2] = 2; });
  expectRefusal("argument 'd.gamma' has shape [4, 1]; it must have [4]", [](Call& call) {
    call.tensors["d.gamma"].shape = call.tensors["d.gamma"].strides = {4, 1};
  });
  expectRefusal("argument 'd.gamma' is bf16; it must be f32",
                [](Call& call) { call.tensors["d.gamma"].dtype = DType::bf16; });
  expectRefusal("argument 'd.gamma' has stride 2 on axis 0; it must be 1",
                [](Call& call) { call.tensors["d.gamma"].strides = {2}; });
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
