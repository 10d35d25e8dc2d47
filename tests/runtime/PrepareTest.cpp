#include "runtime/Prepare.h"

#include "runtime/Module.h"
#include "tests/runtime/DriverSupport.h"

#include <chrono>

namespace lathe {
namespace {

using test::errorOf;
using test::rootAt;

struct Prepare : test::DriverTest {
  test::Folder folder;
  Kernels kernels{Store(rootAt(folder.path))};
  Plan plan = test::toyPlan();
  Signature signature = test::toySignature();
  // A kernel of its own for each test, as loaded ones stay.
  KernelSource source = test::toyKernel(
      std::string("// ") + testing::UnitTest::GetInstance()->current_test_info()->name() + "\n");
  cuda::StreamHandle stream = reinterpret_cast<cuda::StreamHandle>(0x5);

  PreparedKernel prepared(int device = 0) {
    return PreparedKernel(kernels, plan, source, signature, device);
  }
};

TEST_F(Prepare, LaunchesWhatWasBound) {
  PreparedKernel kernel = prepared();
  EXPECT_EQ(kernel.origin(), Origin::compiled);
  EXPECT_EQ(kernel.kernel().arch, "sm_90a");
  EXPECT_EQ(fake->loads, 1);
  EXPECT_EQ(fake->sharedAttribute, 1024);
  LaunchPlan bound = kernel.binder().bind(test::toyCall());
  fake->argumentBytes = bound.argumentBytes;
  kernel.launch(test::toyCall(), stream);
  EXPECT_EQ(fake->launches, 1);
  EXPECT_EQ(fake->grid, 24u);
  EXPECT_EQ(fake->threads, 64u);
  EXPECT_EQ(fake->sharedBytes, 1024u);
  EXPECT_EQ(fake->stream, stream);
  EXPECT_EQ(fake->argument,
            std::string(reinterpret_cast<const char*>(bound.argument.data()), bound.argumentBytes));
  EXPECT_EQ(fake->loads, 1);
}

TEST_F(Prepare, TwoPreparationsLoadOnce) {
  prepared();
  EXPECT_EQ(prepared().origin(), Origin::memory);
  EXPECT_EQ(fake->loads, 1);
}

TEST_F(Prepare, EveryDeviceItsArchitecture) { EXPECT_EQ(prepared(1).kernel().arch, "sm_86"); }

TEST_F(Prepare, NothingToDoLaunchesNothing) {
  PreparedKernel kernel = prepared();
  LaunchPlan empty = kernel.binder().bind(test::toyCall());
  empty.grid = 0;
  kernel.launch(empty, stream);
  EXPECT_EQ(fake->launches, 0);
}

TEST_F(Prepare, TensorsOfAnotherDevice) {
  PreparedKernel kernel = prepared();
  Call call = test::toyCall();
  for (auto* views : {&call.tensors, &call.initial, &call.final})
    for (auto& [name, view] : *views)
      view.device = 1;
  EXPECT_EQ(errorOf<ArgumentError>([&] { kernel.launch(call, stream); }),
            "the tensors are on GPU 1; kernel toy was prepared for GPU 0");
}

TEST_F(Prepare, ARefusedEntryIsCompiledAgainOnce) {
  kernels.get(source, "sm_90a");
  Kernels others{Store(rootAt(folder.path))};
  fake->refusedLoads = 1;
  PreparedKernel kernel(others, plan, source, signature, 0);
  EXPECT_EQ(kernel.origin(), Origin::compiled);
  EXPECT_EQ(fake->loads, 1);
}

TEST_F(Prepare, ARefusedCompilationIsAnError) {
  fake->refusedLoads = 1;
  EXPECT_THAT(errorOf<LoadError>([&] { prepared(); }), testing::HasSubstr("does not load"));
  fake->refusedLoads = 2;
  EXPECT_THAT(errorOf<LoadError>([&] { prepared(); }), testing::HasSubstr("does not load"));
}

TEST_F(Prepare, UnderCaptureOnlyWhatIsLoaded) {
  PreparedKernel kernel = prepared();
  fake->capturing = true;
  kernel.launch(test::toyCall(), stream);
  EXPECT_EQ(fake->launches, 1);
  cuda::api().ctxPush(contextOf(0));
  EXPECT_EQ(errorOf([&] { kernel.launch(test::toyCall(), stream); }),
            "kernel toy is not loaded in this context, and the stream is capturing a graph; "
            "prepare it in this context before the capture begins");
  fake->capturing = false;
  kernel.launch(test::toyCall(), stream);
  EXPECT_EQ(fake->launches, 2);
  EXPECT_EQ(fake->context, contextOf(0)) << "the caller's context";
  cuda::Context popped;
  cuda::api().ctxPop(&popped);
}

TEST_F(Prepare, ARefusedLaunchSaysWhatWasAsked) {
  PreparedKernel kernel = prepared();
  fake->refuseLaunch = true;
  EXPECT_EQ(errorOf([&] { kernel.launch(test::toyCall(), stream); }),
            "to launch 24 blocks of 64 threads with 1024 bytes of shared memory: "
            "CUDA_ERROR_INVALID_VALUE (invalid argument)");
}

TEST_F(Prepare, AWarmLaunchTakesAtMostFiveMicrosecondsOfTheHost) {
  PreparedKernel kernel = prepared();
  std::vector<TensorView> arguments = kernel.binder().arguments(test::toyCall());
  // The least of many rounds: other processes can only add to it.
  double least = 1;
  for (int round = 0; round < 50; ++round) {
    auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i)
      kernel.launch(arguments, {}, stream);
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    least = std::min(least, taken.count() / 100);
  }
  EXPECT_LT(least, 5e-6);
  RecordProperty("nanoseconds", int(1e9 * least));
}

}  // namespace
}  // namespace lathe
