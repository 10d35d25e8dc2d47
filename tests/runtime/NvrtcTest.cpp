#include "runtime/Nvrtc.h"

#include "tests/runtime/Support.h"

#include <thread>

namespace lathe {
namespace {

using test::errorOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kernel = "extern \"C\" __global__ void k(float* x) {\n"
                           "  __shared__ float s[128];\n"
                           "  s[threadIdx.x] = x[threadIdx.x];\n"
                           "  __syncthreads();\n"
                           "  x[threadIdx.x] = s[127 - threadIdx.x];\n"
                           "}\n";

struct NvrtcCompile : test::NvrtcTest {};

TEST_F(NvrtcCompile, EveryArchitecture) {
  for (const char* arch : {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"}) {
    Compilation compiled = Nvrtc::get().compile(kernel, "k", arch);
    EXPECT_THAT(compiled.cubin, StartsWith("\x7f"
                                           "ELF"))
        << arch;
    EXPECT_GT(compiled.resources.registers, 0) << arch;
    EXPECT_EQ(compiled.resources.spillStoreBytes, 0) << arch;
    EXPECT_GE(compiled.resources.sharedBytes, 512) << arch;
    EXPECT_EQ(compiled.resources.barriers, 1) << arch;
    EXPECT_GT(compiled.seconds, 0) << arch;
  }
}

TEST_F(NvrtcCompile, TheSameBytesInAnotherProcess) {
  test::Folder folder;
  for (const char* name : {"a", "b"})
    ASSERT_EQ(test::inChild([&] {
                test::writeAll(folder.path / name,
                               Nvrtc::get().compile(kernel, "k", "sm_90a").cubin);
                return 0;
              }),
              0);
  EXPECT_FALSE(test::readAll(folder.path / "a").empty());
  EXPECT_EQ(test::readAll(folder.path / "a"), test::readAll(folder.path / "b"));
}

TEST_F(NvrtcCompile, OnSeveralThreads) {
  std::string expected = Nvrtc::get().compile(kernel, "k", "sm_80").cubin;
  std::vector<std::string> cubins(4);
  std::vector<std::thread> threads;
  for (std::string& cubin : cubins)
    threads.emplace_back([&] { cubin = Nvrtc::get().compile(kernel, "k", "sm_80").cubin; });
  for (std::thread& thread : threads)
    thread.join();
  for (const std::string& cubin : cubins)
    EXPECT_EQ(cubin, expected);
}

TEST_F(NvrtcCompile, AMistakeNamesTheLineOfTheSpec) {
  std::string text = errorOf<CompileError>([] {
    Nvrtc::get().compile("#line 3 \"gla.lathe\"\n"
                         "extern \"C\" __global__ void k(float* x) { x[0] = decay; }",
                         "k", "sm_90a");
  });
  EXPECT_THAT(text, StartsWith("NVRTC " + Nvrtc::get().version() +
                               " cannot compile k for sm_90a (NVRTC_ERROR_COMPILATION):\n"
                               "gla.lathe(3): error: identifier \"decay\" is undefined\n"));
  EXPECT_THAT(text, HasSubstr("x[0] = decay"));
}

TEST_F(NvrtcCompile, WhatPtxasSaysAfterItsReport) {
  std::string text = errorOf<CompileError>([] {
    Nvrtc::get().compile("extern \"C\" __global__ void k(float* x) { __shared__ float s[100000];"
                         " s[threadIdx.x] = x[0]; __syncthreads(); x[0] = s[1 - threadIdx.x]; }",
                         "k", "sm_80");
  });
  EXPECT_THAT(text, HasSubstr("uses too much shared data"));
}

TEST_F(NvrtcCompile, UnknownArchitectures) {
  EXPECT_THAT(errorOf([] { Nvrtc::get().options("sm_13"); }),
              StartsWith("NVRTC " + Nvrtc::get().version() + " cannot target sm_13; it knows sm_"));
  for (const char* arch : {"", "90", "sm_", "sm_90x", "sm_90aa", "compute_90"})
    EXPECT_EQ(errorOf([&] { Nvrtc::get().options(arch); }),
              "'" + std::string(arch) + "' is not a GPU architecture, such as sm_80 or sm_90a");
}

TEST_F(NvrtcCompile, PtxIsTextForTheVirtualArchitecture) {
  const std::string source = "extern \"C\" __global__ void k(float* x) { x[0] = 1; }";
  const std::string ptx = Nvrtc::get().ptx(source, "k", "sm_90a");
  EXPECT_THAT(ptx, HasSubstr(".target sm_90a"));
  EXPECT_THAT(ptx, HasSubstr(".entry k("));
  EXPECT_EQ(ptx.find('\0'), std::string::npos);
}

TEST_F(NvrtcCompile, PtxOfAMistakeNamesTheLine) {
  EXPECT_THAT(errorOf<CompileError>([] {
                Nvrtc::get().ptx("#line 3 \"gla.lathe\"\n__global__ void k() { decay; }", "k",
                                 "sm_90a");
              }),
              HasSubstr("to PTX for sm_90a (NVRTC_ERROR_COMPILATION):\ngla.lathe(3): error: "));
}

TEST_F(NvrtcCompile, IdentityTellsBuildsApart) {
  EXPECT_THAT(Nvrtc::get().identity(), StartsWith("NVRTC " + Nvrtc::get().version() + " "));
  EXPECT_THAT(Nvrtc::get().identity(), testing::ContainsRegex("(build-id|sha256) [0-9a-f]{40}"));
}

TEST(FirstError, OfALog) {
  EXPECT_EQ(firstError(""), "");
  EXPECT_EQ(firstError("a.cu(1): warning: unused\n"), "");
  EXPECT_EQ(firstError("a.cu(1): warning: unused\n\na.lathe(2): error: bad\n  x = y;\n      ^\n\n"
                       "a.lathe(3): error: worse\n"),
            "a.lathe(2): error: bad\n  x = y;\n      ^");
  EXPECT_EQ(firstError("ptxas error   : too much\nptxas fatal   : given up\n"),
            "ptxas error   : too much");
}

}  // namespace
}  // namespace lathe
