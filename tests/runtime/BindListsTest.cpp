// Packed sequences and pools of states: what a kernel is told of them, and what is refused.
#include "tests/runtime/Support.h"

#include <cstring>

namespace lathe {
namespace {

using test::address;
using test::errorOf;
using test::toyCall;

/// Two sequences of a batch of two; `packed` makes them three of 11 tokens in one row.
struct BindLists : testing::Test {
  Plan plan = test::toyPlan();
  Binder binder{plan, test::toyKernel(), test::toySignature()};
  Call call = toyCall();

  void packed(int bits) {
    for (auto& [name, view] : call.tensors)
      if (name != "A") {
        std::vector<std::int64_t> shape = view.shape;
        shape[0] = 1, shape[1] = 11;
        view = contiguous(view.data, view.dtype, shape);
      }
    for (auto* states : {&call.initial, &call.final})
      (*states)["S"] = contiguous((*states)["S"].data, DType::f32, {3, 6, 4, 8});
    call.lists.cuSeqlens = contiguousList(address(8), bits, 4);
  }
  void pooled(int bits) {
    for (auto* states : {&call.initial, &call.final})
      (*states)["S"] = contiguous(address(6), DType::f32, {40, 6, 4, 8});
    call.lists.slots = contiguousList(address(9), bits, 2);
  }

  LaunchPlan bound() { return binder.bind(call); }
  KernelSizes sizes() {
    KernelSizes sizes;
    const LaunchPlan plan = bound();
    std::memcpy(&sizes, plan.argument.data(), sizeof(sizes));
    return sizes;
  }
  std::string error() {
    return errorOf<ArgumentError>([&] { binder.bind(call); });
  }
};

TEST_F(BindLists, WithoutListsSequencesAreTheBatch) {
  const KernelSizes plain = sizes();
  EXPECT_EQ(plain.batch, 2);
  EXPECT_EQ(plain.tokens, 3);
  EXPECT_EQ(plain.wide, 0);
  EXPECT_EQ(plain.sequences, nullptr);
  EXPECT_EQ(plain.slots, nullptr);
}

TEST_F(BindLists, PackedSequences) {
  for (int bits : {32, 64}) {
    packed(bits);
    EXPECT_EQ(sizes().batch, 3);
    EXPECT_EQ(sizes().tokens, 11);
    EXPECT_EQ(sizes().wide, bits == 64 ? 1 : 0);
    EXPECT_EQ(sizes().sequences, address(8));
    EXPECT_EQ(sizes().slots, nullptr);
    EXPECT_EQ(bound().grid, 3U * 6 * 2);
  }
}

TEST_F(BindLists, PoolsOfStates) {
  for (int bits : {32, 64}) {
    pooled(bits);
    EXPECT_EQ(sizes().batch, 2);
    EXPECT_EQ(sizes().wide, bits == 64 ? 2 : 0);
    EXPECT_EQ(sizes().sequences, nullptr);
    EXPECT_EQ(sizes().slots, address(9));
    EXPECT_EQ(bound().grid, 2U * 6 * 2);
  }
}

TEST_F(BindLists, PackedSequencesWithAPool) {
  packed(32);
  pooled(64);
  call.lists.slots = contiguousList(address(9), 64, 3);
  EXPECT_EQ(sizes().batch, 3);
  EXPECT_EQ(sizes().wide, 2);
  EXPECT_EQ(sizes().sequences, address(8));
  EXPECT_EQ(sizes().slots, address(9));
}

TEST_F(BindLists, NoSequencesAreNoLaunch) {
  packed(32);
  for (auto* states : {&call.initial, &call.final})
    (*states)["S"] = contiguous(nullptr, DType::f32, {0, 6, 4, 8});
  call.lists.cuSeqlens = contiguousList(address(8), 32, 1);
  EXPECT_EQ(bound().grid, 0U);
}

/// Of packed sequences the host knows the mean length alone.
TEST_F(BindLists, SegmentsAreThoseOfTheMeanSequence) {
  KernelSource source = test::toyKernel();
  source.segmenting = {.chunk = 1, .most = 64, .roomBytes = 512};
  source.arch = "sm_90a";
  binder = Binder(plan, source, test::toySignature());
  packed(32);
  EXPECT_EQ(sizes().segments, 4);  // 11 tokens of 3 sequences
  EXPECT_EQ(bound().grid, 3U * 6 * 2 * 4);
  EXPECT_GT(bound().workspaceBytes, 512U * 3 * 6 * 2 * 4);
}

TEST_F(BindLists, ListsInTheOrderOfSlots) {
  packed(32);
  const LaunchPlan once = bound(), again = binder.bind(binder.arguments(call), {}, call.lists);
  EXPECT_EQ(std::memcmp(once.argument.data(), again.argument.data(), once.argumentBytes), 0);
}

TEST_F(BindLists, WrongIntegers) {
  packed(16);
  EXPECT_EQ(error(), "argument 'cu_seqlens' is int16; it must be int32 or int64");
  call = toyCall();
  pooled(8);
  EXPECT_EQ(error(), "argument 'slots' is int8; it must be int32 or int64");
}

TEST_F(BindLists, WrongRank) {
  packed(32);
  call.lists.cuSeqlens.shape = {2, 2};
  EXPECT_EQ(error(),
            "argument 'cu_seqlens' has shape [2, 2]; it must have 1 axis: [sequences + 1]");
  call = toyCall();
  pooled(32);
  call.lists.slots.shape = {};
  EXPECT_EQ(error(), "argument 'slots' has shape []; it must have 1 axis: [sequences]");
}

TEST_F(BindLists, WrongStrides) {
  packed(32);
  call.lists.cuSeqlens.strides = {};
  EXPECT_EQ(error(), "argument 'cu_seqlens' has 0 strides for 1 axis");
  call.lists.cuSeqlens.strides = {2};
  EXPECT_EQ(error(), "argument 'cu_seqlens' has stride 2; it must be 1");
}

TEST_F(BindLists, WrongSizes) {
  packed(32);
  call.lists.cuSeqlens.shape = {-1};
  EXPECT_EQ(error(), "argument 'cu_seqlens' has the negative size -1 on axis 0");
  call.lists.cuSeqlens.shape = {0};
  EXPECT_EQ(error(), "argument 'cu_seqlens' has shape [0]; it must hold at least the token at "
                     "which the first sequence begins");
}

TEST_F(BindLists, NoData) {
  packed(32);
  call.lists.cuSeqlens.data = nullptr;
  EXPECT_EQ(error(), "argument 'cu_seqlens' has no data");
}

TEST_F(BindLists, Misaligned) {
  pooled(64);
  call.lists.slots.data = static_cast<const char*>(address(9)) + 4;
  EXPECT_EQ(error(), "argument 'slots' is not aligned to the 8 bytes of its integers");
}

TEST_F(BindLists, OtherDevices) {
  packed(32);
  call.lists.cuSeqlens.device = 1;
  EXPECT_EQ(error(), "argument 'cu_seqlens' has device 1, but 'q' has device 0; they must be "
                     "equal");
  call = toyCall();
  pooled(32);
  call.lists.slots.device = 1;
  EXPECT_EQ(error(), "argument 'slots' has device 1, but 'q' has device 0; they must be equal");
}

TEST_F(BindLists, PackedInputsWithABatch) {
  packed(32);
  call.tensors["v"] = contiguous(address(2), DType::bf16, {2, 11, 6, 8});
  EXPECT_EQ(error(), "argument 'v' has batch 2; with cu_seqlens it must be 1, as sequences follow "
                     "each other on the token axis");
}

TEST_F(BindLists, StatesOfOtherSequences) {
  packed(32);
  call.final["S"] = contiguous(address(7), DType::f32, {4, 6, 4, 8});
  EXPECT_EQ(error(), "argument 'final S' has sequences 4, but 'cu_seqlens' has sequences 3; they "
                     "must be equal");
}

TEST_F(BindLists, SlotsOfOtherSequences) {
  pooled(32);
  call.lists.slots.shape = {5};
  EXPECT_EQ(error(), "argument 'slots' has batch 5, but 'q' has batch 2; they must be equal");
  packed(32);
  call.lists.slots.shape = {2};
  EXPECT_EQ(error(), "argument 'slots' has sequences 2, but 'cu_seqlens' has sequences 3; they "
                     "must be equal");
}

TEST_F(BindLists, PoolsOfDifferentRows) {
  pooled(32);
  call.final["S"] = contiguous(address(6), DType::f32, {39, 6, 4, 8});
  EXPECT_EQ(error(),
            "argument 'final S' has rows 39, but 'initial S' has rows 40; they must be equal");
}

}  // namespace
}  // namespace lathe
