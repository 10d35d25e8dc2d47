#include "runtime/Compile.h"

#include "tests/runtime/Support.h"

#include <thread>

namespace lathe {
namespace {

using test::errorOf;
using test::rootAt;
using test::toyKernel;
using testing::HasSubstr;

struct CompileKernels : test::NvrtcTest {
  test::Folder folder;
  Kernels kernels{Store(rootAt(folder.path))};

  int files() const {
    int count = 0;
    for (const auto& item : test::fs::recursive_directory_iterator(folder.path))
      count += item.path().extension() == ".lathe";
    return count;
  }
};

TEST_F(CompileKernels, MissThenMemoryThenDisk) {
  Fetched first = kernels.get(toyKernel(), "sm_90a");
  EXPECT_EQ(first.origin, Origin::compiled);
  EXPECT_FALSE(first.hit());
  EXPECT_EQ(first.kernel->entry, "toy");
  EXPECT_EQ(first.kernel->arch, "sm_90a");
  EXPECT_GT(first.kernel->resources.registers, 0);
  EXPECT_EQ(kernels.get(toyKernel(), "sm_90a").origin, Origin::memory);
  Kernels others{Store(rootAt(folder.path))};
  Fetched found = others.get(toyKernel(), "sm_90a");
  EXPECT_EQ(found.origin, Origin::disk);
  EXPECT_TRUE(found.hit());
  EXPECT_EQ(found.kernel->cubin, first.kernel->cubin);
  EXPECT_EQ(found.kernel->resources, first.kernel->resources);
  EXPECT_EQ(found.kernel->seconds, first.kernel->seconds);
  EXPECT_EQ(found.kernel->key, first.kernel->key);
}

TEST_F(CompileKernels, ASecondProcessCompilesNothing) {
  auto origin = [&] {
    return int(Kernels(Store(rootAt(folder.path))).get(toyKernel(), "sm_80").origin);
  };
  EXPECT_EQ(test::inChild(origin), int(Origin::compiled));
  EXPECT_EQ(test::inChild(origin), int(Origin::disk));
}

TEST_F(CompileKernels, ArchitectureAndSourceAreInTheKey) {
  EXPECT_EQ(kernels.get(toyKernel(), "sm_80").origin, Origin::compiled);
  EXPECT_EQ(kernels.get(toyKernel(), "sm_90a").origin, Origin::compiled);
  EXPECT_EQ(kernels.get(toyKernel("// other\n"), "sm_80").origin, Origin::compiled);
  EXPECT_EQ(files(), 3);
}

TEST_F(CompileKernels, AFormOfOneArchitectureIsCompiledForNoOther) {
  KernelSource source = toyKernel();
  source.arch = "sm_90a";
  EXPECT_NO_THROW(kernels.get(source, "sm_90a"));
  try {
    kernels.get(source, "sm_80");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "kernel toy is of a form that only sm_90a runs, and was asked for "
                               "sm_80; ask for its portable form");
  }
}

TEST_F(CompileKernels, OnceOnManyThreads) {
  std::vector<Origin> origins(8);
  std::vector<std::thread> threads;
  for (Origin& origin : origins)
    threads.emplace_back([&] { origin = kernels.get(toyKernel(), "sm_80").origin; });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(std::count(origins.begin(), origins.end(), Origin::compiled), 1);
}

TEST_F(CompileKernels, WithoutADisk) {
  test::writeAll(folder.path / "file", "");
  Kernels memory{Store(rootAt(folder.path / "file" / "root"))};
  EXPECT_EQ(memory.get(toyKernel(), "sm_80").origin, Origin::compiled);
  EXPECT_EQ(memory.get(toyKernel(), "sm_80").origin, Origin::memory);
}

TEST_F(CompileKernels, RecompileReplacesTheEntry) {
  std::string cubin = kernels.get(toyKernel(), "sm_80").kernel->cubin;
  Fetched again = kernels.recompile(toyKernel(), "sm_80");
  EXPECT_EQ(again.origin, Origin::compiled);
  EXPECT_EQ(again.kernel->cubin, cubin);
  EXPECT_EQ(files(), 1);
}

TEST_F(CompileKernels, EntryWithoutMetadataIsCompiledAgain) {
  Fetched first = kernels.get(toyKernel(), "sm_80");
  Store store(rootAt(folder.path));
  const Nvrtc& nvrtc = Nvrtc::get();
  Key key = makeKey(toyKernel().text, nvrtc.options("sm_80"), nvrtc.identity());
  ASSERT_EQ(key.hex, first.kernel->key);
  store.publish(key, {key.text, nlohmann::json::object(), "x"});
  Kernels others{Store(rootAt(folder.path))};
  EXPECT_EQ(others.get(toyKernel(), "sm_80").origin, Origin::compiled);
}

TEST_F(CompileKernels, AFailedSourceIsKept) {
  KernelSource source = toyKernel("#line 7 \"gla.lathe\"\n__device__ int x = nothing;\n");
  std::string text = errorOf<CompileError>([&] { kernels.get(source, "sm_90a"); });
  EXPECT_THAT(text, HasSubstr("gla.lathe(7): error: identifier \"nothing\" is undefined"));
  std::string mark = "\nthe source is in ";
  ASSERT_THAT(text, HasSubstr(mark));
  std::string path = text.substr(text.find(mark) + mark.size());
  EXPECT_EQ(test::fs::path(path).parent_path(), folder.path / "failed");
  EXPECT_EQ(test::readAll(path), source.text);
}

TEST_F(CompileKernels, AFailedSourceThatCannotBeKept) {
  StoreOptions options;
  options.mode = CacheMode::off;
  Kernels off{Store(options)};
  EXPECT_THAT(
      errorOf<CompileError>([&] { off.get(toyKernel("__device__ int x = nothing;\n"), "sm_90a"); }),
      HasSubstr("\nthe source could not be kept; set LATHE_CACHE_DIR to a writable folder"));
}

}  // namespace
}  // namespace lathe
