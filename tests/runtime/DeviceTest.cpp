#include "runtime/Device.h"

#include "tests/runtime/DriverSupport.h"

#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace lathe {
namespace {

using test::errorOf;

struct DeviceQuery : test::DriverTest {
  void SetUp() override {}  // compiles nothing
};

TEST_F(DeviceQuery, FillsInWhatTilesAreChosenBy) {
  EXPECT_EQ(deviceCount(), 2);
  DeviceInfo info = deviceInfo(0);
  EXPECT_EQ(info.name, "Fake H100");
  EXPECT_EQ(info.limits.arch, "sm_90a");
  EXPECT_EQ(info.limits.sharedPerBlock, 232448u);
  EXPECT_EQ(info.limits.multiprocessors, 1016);
  EXPECT_EQ(info.limits.sharedPerMultiprocessor, 1081u);
  EXPECT_EQ(info.limits.registersPerMultiprocessor, 65536);
  EXPECT_EQ(info.l2Bytes, 1038u);
  EXPECT_EQ(info.memoryBytes, std::size_t(1) << 30);
  EXPECT_EQ(info.driverVersion, 12040);
  EXPECT_EQ(deviceInfo(1).limits.arch, "sm_86");
}

TEST_F(DeviceQuery, NoSuchDevice) {
  EXPECT_EQ(errorOf([] { deviceInfo(2); }), "there is no GPU 2; this machine has GPUs 0 to 1");
}

TEST_F(DeviceQuery, IsRefusedAfterAFork) {
  ASSERT_EQ(deviceCount(), 2);
  const std::string refused = "CUDA was in use before this process was forked off, and cannot be "
                              "used in it; start it anew instead (in Python: multiprocessing's "
                              "start method 'spawn')";
  const pid_t child = fork();
  if (child == 0)
    _exit(errorOf([] { deviceInfo(0); }) == refused &&
                  errorOf([] { cuda::ContextScope scope(0); }) == refused
              ? 0
              : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(deviceCount(), 2);
}

TEST_F(DeviceQuery, ErrorsSayWhatWasAsked) {
  EXPECT_EQ(errorOf([] { cuda::check(1, "a stream"); }),
            "a stream: CUDA_ERROR_INVALID_VALUE (invalid argument)");
  EXPECT_EQ(errorOf([] { cuda::check(77777, "a stream"); }), "a stream: CUDA error 77777");
}

TEST_F(DeviceQuery, PrimaryContextOnlyWhereNoneIsCurrent) {
  std::thread([&] {
    cuda::Context current;
    {
      cuda::ContextScope own(0);
      cuda::ContextScope inner(0);
      EXPECT_EQ(own.context(), inner.context());
    }
    cuda::api().ctxGetCurrent(&current);
    EXPECT_EQ(current, nullptr) << "given back";
    cuda::api().ctxPush(contextOf(0));
    EXPECT_EQ(cuda::ContextScope(0).context(), contextOf(0)) << "the caller's own";
    EXPECT_NE(cuda::ContextScope(1).context(), contextOf(0)) << "of another device";
    cuda::api().ctxGetCurrent(&current);
    EXPECT_EQ(current, contextOf(0));
  }).join();
  EXPECT_LE(fake->primaryRetains, 2);
}

}  // namespace
}  // namespace lathe
