#include "runtime/Module.h"

#include "tests/runtime/DriverSupport.h"

namespace lathe {
namespace {

using test::errorOf;

struct ModuleLoad : test::DriverTest {
  void SetUp() override {}  // compiles nothing
  CompiledKernel kernel;

  ModuleLoad() {
    // A key of its own for each test, as loaded kernels stay.
    kernel.key = testing::UnitTest::GetInstance()->current_test_info()->name();
    kernel.entry = "k";
    kernel.arch = "sm_90a";
    kernel.cubin = "\x7f"
                   "ELF";
  }
};

TEST_F(ModuleLoad, UnloadsItself) {
  {
    cuda::ContextScope scope(0);
    Module module(kernel, 5000);
    EXPECT_EQ(fake->sharedAttribute, 5000);
    EXPECT_EQ(module.info().registers, 104);
    Module moved = std::move(module);
    EXPECT_EQ(fake->unloads, 0);
  }
  EXPECT_EQ(fake->loads, 1);
  EXPECT_EQ(fake->unloads, 1);
  EXPECT_EQ(fake->loadsUnderGlobalCapture, 0) << "would break another thread's capture";
}

TEST_F(ModuleLoad, OnceForEachContext) {
  cuda::ContextScope scope(0);
  cuda::Function first = loadedFunction(kernel, 0);
  EXPECT_EQ(loadedFunction(kernel, 0), first);
  EXPECT_EQ(fake->loads, 1);
  cuda::api().ctxPush(contextOf(0));
  EXPECT_NE(loadedFunction(kernel, 0), first);
  cuda::Context popped;
  cuda::api().ctxPop(&popped);
  EXPECT_EQ(fake->loads, 2);
  EXPECT_EQ(fake->unloads, 0);
}

TEST_F(ModuleLoad, Refused) {
  cuda::ContextScope scope(0);
  fake->refusedLoads = 1;
  EXPECT_EQ(errorOf<LoadError>([&] { Module(kernel, 0); }),
            "the driver does not load kernel k for sm_90a: CUDA_ERROR_NO_BINARY_FOR_GPU (no kernel "
            "image)");
}

TEST_F(ModuleLoad, TooMuchSharedMemory) {
  cuda::ContextScope scope(0);
  EXPECT_EQ(errorOf([&] { Module(kernel, 300000); }),
            "kernel k for sm_90a wants 300000 bytes of dynamic shared memory a block: "
            "CUDA_ERROR_INVALID_VALUE (invalid argument)");
  EXPECT_EQ(fake->unloads, 1);
}

TEST_F(ModuleLoad, NoContext) {
  EXPECT_EQ(errorOf([&] { loadedFunction(kernel, 0); }),
            "no CUDA context is current; make a device current before loading a kernel");
}

}  // namespace
}  // namespace lathe
