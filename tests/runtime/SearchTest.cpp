#include "runtime/driver/NvrtcLibrary.h"
#include "tests/runtime/Support.h"

namespace lathe {
namespace {

using test::errorOf;
using test::Folder;
using test::Variable;
using testing::Contains;
using testing::HasSubstr;

TEST(Search, AGivenPathThatIsNotThereIsAnError) {
  Variable path("LATHE_NVRTC_PATH", "/nonexistent");
  EXPECT_EQ(errorOf([] { findNvrtc(); }),
            "LATHE_NVRTC_PATH is '/nonexistent': /nonexistent: cannot open shared object file: No "
            "such file or directory; it must be libnvrtc.so.13 or libnvrtc.so.12, or the folder of "
            "one");
}

TEST(Search, AGivenFolderWithoutNvrtcIsAnError) {
  Folder folder;
  Variable path("LATHE_NVRTC_PATH", folder.path.string());
  EXPECT_EQ(errorOf([] { findNvrtc(); }),
            "LATHE_NVRTC_PATH is '" + folder.path.string() +
                "': there is no libnvrtc.so.13 or libnvrtc.so.12 in it; it must be libnvrtc.so.13 "
                "or libnvrtc.so.12, or the folder of one");
}

TEST(Search, ALibraryThatIsNotNvrtcIsAnError) {
  Variable path("LATHE_NVRTC_PATH", "libm.so.6");
  EXPECT_THAT(errorOf([] { findNvrtc(); }), HasSubstr(" has no nvrtcGetErrorString; Lathe needs "
                                                      "NVRTC 12.0 or later"));
}

TEST(Search, PythonFolders) {
  Folder folder;
  test::fs::path venv = folder.path / "venv/lib/python3.11/site-packages/nvidia/cu13/lib";
  test::fs::path site = folder.path / "site/nvidia/cuda_nvrtc/lib";
  test::fs::create_directories(venv);
  test::fs::create_directories(site);
  {
    Variable python("LATHE_PYTHON", (folder.path / "venv").string());
    EXPECT_EQ(pythonFolders().at(0), venv);
  }
  {
    Variable python("LATHE_PYTHON", (folder.path / "site").string());
    EXPECT_EQ(pythonFolders().at(0), site);
  }
  Variable python("LATHE_PYTHON", nullptr);
  Variable environment("VIRTUAL_ENV", (folder.path / "venv").string());
  EXPECT_THAT(pythonFolders(), Contains(venv.string()));
}

/// In a process of its own, as one that has NVRTC open already finds it anywhere.
TEST(Search, NoNvrtcAtAll) {
  Folder folder;
  std::string cause = "not run";
  int status = test::inChild([&] {
    for (const char* name : {"LATHE_NVRTC_PATH", "LATHE_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX",
                             "HOME", "PATH", "CUDA_HOME", "CUDA_PATH"})
      unsetenv(name);
    test::fs::current_path(folder.path);
    test::writeAll(folder.path / "text", errorOf([] { findNvrtc(); }));
    return 0;
  });
  ASSERT_EQ(status, 0);
  std::string text = test::readAll(folder.path / "text");
  if (text == "no error")
    GTEST_SKIP() << "this machine has an NVRTC where every process finds it";
  EXPECT_EQ(text, "there is no NVRTC, which compiles the kernels; install it with 'pip install "
                  "nvidia-cuda-nvrtc' or the CUDA toolkit, or set LATHE_NVRTC_PATH to its folder");
}

}  // namespace
}  // namespace lathe
