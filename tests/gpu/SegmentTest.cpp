// Launches in segments share a workspace with those before and after them.
#include "runtime/Device.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

struct Segments : GpuTest {
  void SetUp() override {
    GpuTest::SetUp();
    if (!IsSkipped() && deviceInfo(device).limits.arch != name(Form::sm90a))
      GTEST_SKIP() << "this GPU is no sm_90a";
  }

  static Case caseOf(int segments, Shape shape, int blockV = 128) {
    Case one{.variant = "simple_gla", .K = 128, .V = 128, .shape = shape};
    one.tile = Tile{64, 64, blockV, 2, 1, 1, Form::sm90a, segments};
    return one;
  }

  static DeviceCall callOf(const Case& one) {
    return DeviceCall(variantNamed(one.variant).plan, signatureOf(one), one.shape,
                      referenceOf(one)->host, one.placement);
  }

  static std::string failure(const Case& one, const HostResult& found) {
    return judge(variantNamed(one.variant).plan, signatureOf(one), found,
                 referenceOf(one)->expected)
        .reason;
  }
};

TEST_F(Segments, AreTheSameToTheBitInAHundredRuns) {
  Case one = caseOf(8, {2, 3000, 4});
  std::unique_ptr<PreparedKernel> kernel = prepare(one);
  DeviceCall call = callOf(one);
  const LaunchPlan bound = call.bind(kernel->binder());
  EXPECT_GT(bound.workspaceBytes, 0u);
  Stream stream;
  std::optional<HostResult> first;
  for (int run = 0; run < 100; ++run) {
    call.poison();
    kernel->launch(bound, stream);
    stream.synchronize();
    HostResult result = call.download();
    if (!first) {
      EXPECT_EQ(failure(one, result), "");
      first = result;
    }
    ASSERT_TRUE(identical(result, *first)) << "run " << run;
  }
}

TEST_F(Segments, RunInAGraph) {
  Case one = caseOf(6, {1, 1500, 3});
  std::unique_ptr<PreparedKernel> kernel = prepare(one);
  DeviceCall call = callOf(one);
  const LaunchPlan bound = call.bind(kernel->binder());
  Stream stream;
  stream.beginCapture();
  for (int i = 0; i < 5; ++i)
    kernel->launch(bound, stream);
  Graph graph = stream.endCapture();
  for (int replay = 0; replay < 3; ++replay) {
    call.poison();
    graph.launch(stream);
    stream.synchronize();
    EXPECT_EQ(failure(one, call.download()), "") << "replay " << replay;
  }
}

/// Kernels, shapes and numbers of segments that differ follow each other on one workspace.
TEST_F(Segments, ShareAWorkspaceInTurn) {
  const std::vector<Case> cases = {caseOf(8, {2, 1111, 4}), caseOf(3, {1, 2000, 2}, 64),
                                   caseOf(16, {1, 1200, 8})};
  std::vector<std::unique_ptr<PreparedKernel>> kernels;
  std::vector<DeviceCall> calls;
  std::vector<LaunchPlan> plans;
  std::size_t bytes = 0;
  for (const Case& one : cases) {
    kernels.push_back(prepare(one));
    calls.push_back(callOf(one));
    plans.push_back(kernels.back()->binder().bind(calls.back().call()));
    bytes = std::max(bytes, plans.back().workspaceBytes);
  }
  Buffer workspace(bytes);
  workspace.fill(0);
  synchronizeDevice();
  Stream stream;
  for (DeviceCall& call : calls)
    call.poison();
  for (int round = 0; round < 10; ++round)
    for (std::size_t i = 0; i < cases.size(); ++i) {
      plans[i].useWorkspace({workspace.data(), workspace.bytes(), device});
      kernels[i]->launch(plans[i], stream);
      kernels[i]->launch(plans[i], stream);
    }
  stream.synchronize();
  for (std::size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(failure(cases[i], calls[i].download()), "") << describe(cases[i]);
}

TEST_F(Segments, NeedAWorkspace) {
  Case one = caseOf(4, {1, 1000, 1});
  std::unique_ptr<PreparedKernel> kernel = prepare(one);
  DeviceCall call = callOf(one);
  try {
    kernel->launch(call.call(), Stream());
    FAIL() << "a launch without its workspace";
  } catch (const ArgumentError& error) {
    EXPECT_EQ(std::string(error.what()),
              "kernel lathe_scan_simple_gla needs a workspace of 197120 bytes for this launch; "
              "LaunchPlan::workspaceBytes says how many, LaunchPlan::useWorkspace or "
              "Call::workspace passes it");
  }
}

}  // namespace
}  // namespace lathe::test
