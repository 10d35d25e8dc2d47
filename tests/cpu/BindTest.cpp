// Every mistake of a caller, and its text.
#include "compiler/cpu/Pool.h"
#include "tests/cpu/Support.h"

#include <atomic>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>

namespace lathe::test {
namespace {

/// A right call of gla, which each test makes wrong in one way.
class CpuBind : public testing::Test {
protected:
  CpuBind() : variant(compileLibrary("gla")), kernel(variant.token.program, target()) {
    for (const char* name : {"q", "k", "g"})
      call.tensors[name] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 4, 5});
    for (const char* name : {"v", "o"})
      call.tensors[name] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 4, 6});
    call.initial["S"] = cpu::contiguous(memory.data(), DType::f32, {2, 4, 5, 6});
  }

  static cpu::Target target() { return {{{"K", 5}, {"V", 6}}, {}, 0}; }

  static std::string messageOf(const std::function<void()>& run) {
    try {
      run();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "no error";
  }

  void expectError(const std::string& text) {
    EXPECT_EQ(messageOf([&] { kernel.run(call); }), "variant gla: " + text);
  }

  void expectTargetError(const cpu::Target& wrong, const std::string& text) {
    EXPECT_EQ(messageOf([&] { cpu::Kernel(variant.token.program, wrong); }),
              "variant gla: " + text);
  }

  CompiledVariant variant;
  cpu::Kernel kernel;
  std::vector<float> memory = std::vector<float>(1000);
  cpu::Call call;
};

TEST_F(CpuBind, ARightCallRuns) {
  EXPECT_EQ(messageOf([&] { kernel.run(call); }), "no error");
}

TEST_F(CpuBind, Names) {
  call.tensors["x"] = call.tensors["q"];
  expectError("x is no input, param or output of the variant");
  call.tensors.erase("x");
  call.initial["q"] = call.tensors["q"];
  expectError("q is no state of the variant");
  call.initial.erase("q");
  call.constants["K"] = 1;
  expectError("K is no const of the variant");
  call.constants.clear();
  call.tensors.erase("k");
  expectError("input k is missing");
}

TEST_F(CpuBind, Dtypes) {
  call.tensors["q"].dtype = DType::bf16;
  expectError("input q is bf16; the kernel is compiled for f32");
  call.tensors["q"].dtype = DType::f32;
  call.initial["S"].dtype = DType::f16;
  expectError("initial state S is f16; states are f32");
}

TEST_F(CpuBind, Shapes) {
  call.tensors["q"] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 5});
  expectError("input q has 3 axes, [2, 3, 5]; it must have 4");
  call.tensors["q"] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 3, 5});
  expectError("input q has the shape [2, 3, 3, 5]; it must have [2, 3, 4, 5], or fewer heads that "
              "divide 4");
  call.tensors["q"] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 4, 5});
  call.tensors["o"] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 2, 6});
  expectError("output o has the shape [2, 3, 2, 6]; it must have [2, 3, 4, 6]");
  call.tensors["o"] = cpu::contiguous(memory.data(), DType::f32, {2, 3, 4, 6});
  call.initial["S"].shape = {2, 4, 30};
  expectError("initial state S has 3 axes, [2, 4, 30]; it must have 4");
  call.initial["S"].shape = {2, 4, 6, 5};
  expectError("initial state S has the shape [2, 4, 6, 5]; it must have [2, 4, 5, 6]");
}

TEST_F(CpuBind, Memory) {
  call.tensors["v"].strides.pop_back();
  expectError("input v has 3 strides for 4 axes");
  call.tensors["v"].strides = {72, 24, 6, 2};
  expectError("input v has the stride 2 along its last axis; it must be 1");
  call.tensors["v"].strides = {72, 24, 6, 1};
  call.tensors["v"].data = nullptr;
  expectError("input v has no memory: its pointer is null");
}

TEST_F(CpuBind, Packed) {
  std::vector<std::int32_t> starts{0, 3};
  call.cuSeqlens = std::span<const std::int32_t>(starts);
  expectError("cu_seqlens [0, 3] packs sequences into one row, but the batch is 2; it must be 1");
  for (auto& [name, view] : call.tensors)
    view.shape[0] = 1;
  call.initial["S"].shape[0] = 1;
  EXPECT_EQ(messageOf([&] { kernel.run(call); }), "no error");
  for (const std::vector<std::int32_t>& wrong :
       {std::vector<std::int32_t>{1, 3}, {0, 2}, {0, 3, 2, 3}}) {
    starts = wrong;
    call.cuSeqlens = std::span<const std::int32_t>(starts);
    std::string text;
    for (const std::int32_t start : wrong)
      text += (text.empty() ? "" : ", ") + std::to_string(start);
    expectError("cu_seqlens [" + text +
                "] must begin with 0, never fall, and end with the number of tokens, 3");
  }
}

TEST_F(CpuBind, Numbers) {
  call.threads = -1;
  expectError("-1 threads or tokens of spacing; they must be at least 1, or 0 for the default");
}

TEST_F(CpuBind, Targets) {
  expectTargetError({{{"K", 5}}, {}, 0}, "the size of the dimension V is missing");
  expectTargetError({{{"K", 5}, {"V", 0}}, {}, 0},
                    "the dimension V has the size 0; it must be at least 1");
  expectTargetError({{{"K", 5}, {"V", 6}, {"W", 7}}, {}, 0}, "W is no dimension of the variant");
  expectTargetError({{{"K", 5}, {"V", 6}}, {{"S", DType::f32}}, 0},
                    "S is no input, param or output of the variant, and has no dtype");
  EXPECT_EQ(messageOf([&] { cpu::Kernel(variant.chunk->program, target()); }),
            "variant gla: the CPU target compiles the token form, not the chunk form");
}

TEST(CpuPool, RunsEveryTaskOnce) {
  for (const int threads : {1, 2, 5}) {
    std::vector<std::atomic<int>> runs(100);
    cpu::parallelFor(100, threads, [&](long i) { ++runs[i]; });
    for (const std::atomic<int>& count : runs)
      EXPECT_EQ(count, 1);
  }
}

/// The child has none of the threads of its parent.
TEST(CpuPool, WorksAfterAFork) {
  cpu::parallelFor(8, 4, [](long) {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    std::atomic<int> runs = 0;
    cpu::parallelFor(100, 4, [&](long) { ++runs; });
    _exit(runs == 100 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(CpuPool, ThrowsWhatATaskThrows) {
  for (const int threads : {1, 3})
    EXPECT_THROW(cpu::parallelFor(50, threads,
                                  [](long i) {
                                    if (i == 7)
                                      throw std::runtime_error("seven");
                                  }),
                 std::runtime_error);
}

TEST(CpuPool, MayBeCalledFromATask) {
  std::atomic<int> runs = 0;
  cpu::parallelFor(4, 3, [&](long) { cpu::parallelFor(5, 3, [&](long) { ++runs; }); });
  EXPECT_EQ(runs, 20);
}

}  // namespace
}  // namespace lathe::test
