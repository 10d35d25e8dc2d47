#include "runtime/Device.h"
#include "runtime/driver/Cuda.h"
#include "tests/runtime/Support.h"

namespace lathe {
namespace {

using test::errorOf;
using test::Variable;
using testing::HasSubstr;

TEST(NoDriver, IsAPlainError) {
  Variable path("LATHE_CUDA_PATH", "/nonexistent/libcuda.so.1");
  EXPECT_EQ(errorOf([] { deviceCount(); }),
            "there is no CUDA driver: /nonexistent/libcuda.so.1: cannot open shared object file: "
            "No such file or directory; LATHE_CUDA_PATH must name a libcuda.so.1");
  std::string problem;
  EXPECT_FALSE(cuda::available(&problem));
  EXPECT_THAT(problem, HasSubstr("there is no CUDA driver"));
}

TEST(NoDriver, SaysWhatToInstall) {
  Variable path("LATHE_CUDA_PATH", nullptr);
  std::string problem;
  if (cuda::available(&problem))
    GTEST_SKIP() << "this machine has a driver";
  EXPECT_THAT(problem,
              testing::AnyOf(HasSubstr("install the NVIDIA driver"), HasSubstr("does not start")));
}

TEST(NoDriver, ALibraryThatIsNoDriver) {
  Variable path("LATHE_CUDA_PATH", "libm.so.6");
  EXPECT_THAT(errorOf([] { deviceCount(); }),
              HasSubstr(" has no cuInit; Lathe needs a driver for CUDA 11.4 or later"));
}

TEST(Arch, OfACapability) {
  EXPECT_EQ(archOf(8, 0), "sm_80");
  EXPECT_EQ(archOf(8, 6), "sm_86");
  EXPECT_EQ(archOf(8, 9), "sm_89");
  EXPECT_EQ(archOf(9, 0), "sm_90a");
  EXPECT_EQ(archOf(10, 0), "sm_100");
  EXPECT_EQ(archOf(12, 0), "sm_120");
}

}  // namespace
}  // namespace lathe
