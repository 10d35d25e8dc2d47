// A small plan with every kind of operand, a kernel of it, and an NVRTC where there is one.
#pragma once

#include "runtime/Launch.h"
#include "runtime/Nvrtc.h"
#include "tests/cache/Support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace lathe::test {

/// The text of what `body` throws.
template <class Exception = Error, class Body> std::string errorOf(Body body) {
  try {
    body();
  } catch (const Exception& error) {
    return error.what();
  }
  return "no error";
}

/// input q[K], v[V], g; param A; const scale = 0.5; output o[V]; state S[K, V].
inline Plan toyPlan() {
  using Kind = Operand::Kind;
  Plan plan;
  plan.variant = "toy";
  plan.dims = {"K", "V"};
  auto operand = [&](Kind kind, const char* name, std::vector<std::string> dims) {
    Operand result;
    result.kind = kind;
    result.name = name;
    result.dims = dims;
    plan.operands.push_back(result);
  };
  operand(Kind::input, "q", {"K"});
  operand(Kind::input, "v", {"V"});
  operand(Kind::input, "g", {});
  operand(Kind::param, "A", {});
  operand(Kind::constant, "scale", {});
  operand(Kind::output, "o", {"V"});
  operand(Kind::state, "S", {"K", "V"});
  Node half, scale;
  half.kind = Node::Kind::constant;
  half.value = 0.5;
  scale.kind = Node::Kind::override_;
  scale.args = {0};
  scale.operand = 4;
  plan.nodes = {half, scale};
  plan.operands[4].value = 1;
  return plan;
}

inline Signature toySignature() {
  Signature signature;
  signature.dims = {{"K", 4}, {"V", 8}};
  signature.dtypes = {DType::bf16, DType::bf16, DType::f32, DType::f32,
                      DType::f32,  DType::bf16, DType::f32};
  return signature;
}

/// A kernel that takes what the emitted ones take; `text` makes distinct ones.
inline KernelSource toyKernel(const std::string& text = "") {
  using Role = KernelSource::Slot::Role;
  KernelSource source;
  source.text = text + "struct Arguments { char bytes[304]; };\n"
                       "extern \"C\" __global__ void toy(const __grid_constant__ Arguments a) {}\n";
  source.entry = "toy";
  source.tensors = {{0, Role::operand}, {1, Role::operand}, {2, Role::operand}, {3, Role::operand},
                    {5, Role::operand}, {6, Role::initial}, {6, Role::final}};
  source.constants = {4};
  source.threads = 64;
  source.sharedBytes = 1024;
  source.tilesPerHead = 2;
  return source;
}

/// An address that no one reads through.
inline void* address(int n) { return reinterpret_cast<void*>(std::uintptr_t(0x1000) * n); }

/// batch 2, tokens 3, heads 6, of which q has 2; dense.
inline Call toyCall() {
  Call call;
  call.tensors["q"] = contiguous(address(1), DType::bf16, {2, 3, 2, 4});
  call.tensors["v"] = contiguous(address(2), DType::bf16, {2, 3, 6, 8});
  call.tensors["g"] = contiguous(address(3), DType::f32, {2, 3, 6});
  call.tensors["A"] = contiguous(address(4), DType::f32, {6});
  call.tensors["o"] = contiguous(address(5), DType::bf16, {2, 3, 6, 8});
  call.initial["S"] = contiguous(address(6), DType::f32, {2, 6, 4, 8});
  call.final["S"] = contiguous(address(7), DType::f32, {2, 6, 4, 8});
  return call;
}

/// For tests that compile: NVRTC from the environment, or the one of ./dev in .venv. Where there is
/// none, the test is skipped, and says so.
struct NvrtcTest : testing::Test {
  void SetUp() override {
    if (!std::getenv("LATHE_PYTHON"))
      setenv("LATHE_PYTHON", LATHE_SOURCE_DIR "/.venv", 1);
    std::string problem = errorOf([] { Nvrtc::get(); });
    if (problem != "no error")
      GTEST_SKIP() << problem;
  }
};

}  // namespace lathe::test
