// What a launch is beside its tensors: segments and the workspace that they need, heads that share
// a block, places for tensor maps.
#include "compiler/cuda/Segments.h"
#include "tests/runtime/Support.h"

#include <cstring>

namespace lathe {
namespace {

using test::address;
using test::errorOf;

/// A call of 2 sequences of 1000 tokens and 6 heads in 2 tiles: 24 blocks without segments.
struct WorkspaceOfACall : testing::Test {
  Plan plan = test::toyPlan();
  KernelSource source = test::toyKernel();
  Signature signature = test::toySignature();
  Call call = test::toyCall();

  void SetUp() override {
    source.arch = "sm_90a";
    source.segmenting = {64, 0, 256};
    for (auto& [name, view] : call.tensors)
      if (view.shape.size() > 1)
        view.shape[1] = 1000;
  }

  LaunchPlan bound(int multiprocessors = 0) {
    return Binder(plan, source, signature, multiprocessors).bind(call);
  }
  static KernelSizes sizesOf(const LaunchPlan& plan) {
    KernelSizes sizes;
    std::memcpy(&sizes, plan.argument.data(), sizeof(sizes));
    return sizes;
  }
  std::string error(Workspace workspace) {
    return errorOf<ArgumentError>([&] { bound().useWorkspace(workspace); });
  }
};

TEST_F(WorkspaceOfACall, SegmentsAreThoseOfTheGpu) {
  LaunchPlan plan = bound();
  EXPECT_EQ(sizesOf(plan).segments, 5) << "132 multiprocessors by 24 blocks";
  EXPECT_EQ(plan.grid, 24u * 5);
  EXPECT_EQ(plan.workspaceBytes, 65536u + 24 * 5 * 256);
  EXPECT_EQ(sizesOf(plan).workspace, nullptr);
  EXPECT_FALSE(plan.hasWorkspace);
  EXPECT_EQ(sizesOf(bound(72)).segments, 3);
}

TEST_F(WorkspaceOfACall, IsPassedOn) {
  LaunchPlan plan = bound();
  plan.useWorkspace({address(16), plan.workspaceBytes, 0});
  EXPECT_EQ(sizesOf(plan).workspace, address(16));
  EXPECT_TRUE(plan.hasWorkspace);
  call.workspace = {address(32), plan.workspaceBytes, 0};
  EXPECT_EQ(sizesOf(bound()).workspace, address(32));
}

TEST_F(WorkspaceOfACall, IsNotLookedAtWhereNoneIsNeeded) {
  source.segmenting.most = 1;
  LaunchPlan plan = bound();
  EXPECT_EQ(plan.workspaceBytes, 0u);
  EXPECT_EQ(plan.grid, 24u);
  plan.useWorkspace({nullptr, 0, 3});
  EXPECT_EQ(sizesOf(plan).workspace, nullptr);
}

TEST_F(WorkspaceOfACall, WithoutSegmentsThereIsNone) {
  source.segmenting = {};
  EXPECT_EQ(bound().workspaceBytes, 0u);
  EXPECT_EQ(sizesOf(bound()).segments, 1);
}

TEST_F(WorkspaceOfACall, Missing) {
  EXPECT_EQ(error({}), "the workspace is null; this launch needs 96256 bytes");
}

TEST_F(WorkspaceOfACall, TooSmall) {
  EXPECT_EQ(error({address(16), 96255, 0}),
            "the workspace has 96255 bytes; this launch needs 96256");
}

TEST_F(WorkspaceOfACall, Misaligned) {
  EXPECT_EQ(error({static_cast<char*>(address(16)) + 64, 96256, 0}),
            "the workspace is not aligned to 256 bytes");
}

TEST_F(WorkspaceOfACall, PairedHeadsTakeHalfTheBlocks) {
  source.copies = {{0, 64, 64}, {0, 64, 64}, {1, 64, 64}, {4, 64, 64}};
  source.headsOfBlock = 2;
  source.segmenting.most = 1;
  EXPECT_EQ(errorOf<ArgumentError>([&] { bound(); }),
            "argument 'q' has 2 heads for the 6 of the launch; this kernel computes 2 neighbouring "
            "heads together, which must share one");
  call.tensors["q"] = contiguous(address(1), DType::bf16, {2, 1000, 3, 4});
  EXPECT_EQ(bound().grid, 24u / 2);
}

/// Behind the constants, aligned to 64 bytes; without a driver none is made.
TEST_F(WorkspaceOfACall, TensorMapsHaveTheirPlaces) {
  source.copies = {{0, 64, 64}, {1, 64, 64}};
  LaunchPlan plan = bound();
  constexpr std::size_t mapped = 48 + 7 * sizeof(KernelTensor) + sizeof(float);
  EXPECT_EQ(plan.argumentBytes, (mapped + 4 + 63) / 64 * 64 + 2 * sizeof(TensorMap));
  std::int32_t maps;
  std::memcpy(&maps, plan.argument.data() + mapped, sizeof(maps));
  EXPECT_EQ(maps & ~3, 0);
}

TEST_F(WorkspaceOfACall, OnAnotherGpu) {
  EXPECT_EQ(error({address(16), 96256, 1}), "the workspace is on GPU 1; the tensors are on GPU 0");
}

}  // namespace
}  // namespace lathe
