// The same call on the CPU and on CUDA. The test gives it an emulator, whose memory is that of the
// host.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <lathe/lathe.hpp>

namespace {

using Numbers = std::vector<float>;

constexpr std::int64_t T = 37, H = 2, K = 16, V = 32;

int failures = 0;

Numbers draw(std::size_t count, unsigned seed) {
  Numbers numbers(count);
  for (float& number : numbers) {
    seed = seed * 1664525u + 1013904223u;
    number = static_cast<float>((seed >> 8) / 8388608.0 - 1);
  }
  return numbers;
}

/// RMS(difference) / RMS(expected).
void compare(const char* what, const Numbers& found, const Numbers& expected) {
  double off = 0, all = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    off += std::pow(found[i] - expected[i], 2);
    all += std::pow(expected[i], 2);
  }
  const double ratio = std::sqrt(off / all);
  std::printf("%s: %.1e\n", what, ratio);
  failures += ratio < 1e-2 ? 0 : 1;
}

struct Result {
  Numbers o = Numbers(T * H * V, NAN), S;
};

/// Two packed sequences; on CUDA the rows of their states are exchanged.
Result run(const lathe::Kernel& kernel, DLDeviceType type, bool isPacked) {
  const DLDevice device = {type, 0};
  const std::int64_t sequences = isPacked ? 2 : 1;
  Numbers q = draw(T * H * K, 1), k = draw(T * H * K, 2), v = draw(T * H * V, 3),
          g = draw(T * H * K, 4), initial = draw(2 * H * K * V, 5);
  for (float& gate : g)
    gate = -std::fabs(gate);
  Result result;
  result.S.assign(initial.size(), 0);
  std::vector<std::int32_t> starts = {0, 11, T}, slots = {1, 0};
  lathe::Call call(kernel);
  const auto set = [&](const char* name, Numbers& data, std::vector<std::int64_t> shape) {
    call.set(name, {data.data(), lathe::f32, std::move(shape), {}, device});
  };
  set("q", q, {1, T, H, K});
  set("k", k, {1, T, H, K});
  set("g", g, {1, T, H, K});
  set("v", v, {1, T, H, V});
  set("o", result.o, {1, T, H, V});
  set("initial S", initial, {sequences, H, K, V});
  set("final S", result.S, {sequences, H, K, V});
  const bool hasPool = isPacked && type == kDLCUDA;
  if (hasPool)
    std::swap_ranges(initial.begin(), initial.begin() + H * K * V, initial.begin() + H * K * V);
  const DLDataType i32 = lathe::dtypeOf<std::int32_t>();
  if (isPacked)
    call.cuSeqlens = {starts.data(), i32, {3}, {}, device};
  if (hasPool)
    call.slots = {slots.data(), i32, {2}, {}, device};
  call.workspaceBytes = kernel.workspaceBytes(call);
  void* workspace = nullptr;
  if (call.workspaceBytes > 0 && posix_memalign(&workspace, 256, call.workspaceBytes) != 0)
    std::abort();
  std::fill_n(static_cast<char*>(workspace), call.workspaceBytes, 0);
  call.workspace = workspace;
  kernel.launch(call);
  std::free(workspace);
  if (hasPool)
    std::swap_ranges(result.S.begin(), result.S.begin() + H * K * V, result.S.begin() + H * K * V);
  return result;
}

/// What flows back from o and the final states of two packed sequences, with one head of k for both
/// of the others.
struct Gradients {
  Numbers q = Numbers(T * H * K, NAN), k = Numbers(T * K, NAN), v = Numbers(T * H * V, NAN),
          g = Numbers(T * H * K, NAN), S = Numbers(2 * H * K * V, NAN), scale = Numbers(1, NAN);
};

Gradients differentiate(const lathe::Kernel& kernel, DLDeviceType type) {
  const DLDevice device = {type, 0};
  Numbers q = draw(T * H * K, 1), k = draw(T * K, 2), v = draw(T * H * V, 3),
          g = draw(T * H * K, 4), initial = draw(2 * H * K * V, 5), o = draw(T * H * V, 6),
          final = draw(2 * H * K * V, 7);
  for (float& gate : g)
    gate = -std::fabs(gate);
  Gradients made;
  std::vector<std::int32_t> starts = {0, 11, T};
  lathe::Call call(kernel);
  const auto set = [&](const char* name, Numbers& data, std::vector<std::int64_t> shape) {
    call.set(name, {data.data(), lathe::f32, std::move(shape), {}, device});
  };
  set("q", q, {1, T, H, K});
  set("k", k, {1, T, 1, K});
  set("v", v, {1, T, H, V});
  set("g", g, {1, T, H, K});
  set("initial S", initial, {2, H, K, V});
  set("d.o", o, {1, T, H, V});
  set("d.final S", final, {2, H, K, V});
  set("d.q", made.q, {1, T, H, K});
  set("d.k", made.k, {1, T, 1, K});
  set("d.v", made.v, {1, T, H, V});
  set("d.g", made.g, {1, T, H, K});
  set("d.initial S", made.S, {2, H, K, V});
  set("d.scale", made.scale, {});
  call.cuSeqlens = {starts.data(), lathe::dtypeOf<std::int32_t>(), {3}, {}, device};
  call.workspaceBytes = kernel.workspaceBytes(call);
  void* workspace = nullptr;
  if (call.workspaceBytes > 0 && posix_memalign(&workspace, 256, call.workspaceBytes) != 0)
    std::abort();
  std::fill_n(static_cast<char*>(workspace), call.workspaceBytes, 0);
  call.workspace = workspace;
  kernel.launch(call);
  std::free(workspace);
  return made;
}

}  // namespace

int main() {
  const lathe::Variant gla = lathe::Variant::load("gla");
  for (const lathe_pass pass : {LATHE_FORWARD, LATHE_STEP}) {
    lathe::Options options;
    options.dims = "K=16,V=32";
    options.pass = pass;
    const lathe::Kernel cpu(gla, options);
    options.device = {kDLCUDA, 0};
    const lathe::Kernel cuda(gla, options);
    for (const bool isPacked : {false, true}) {
      const Result expected = run(cpu, kDLCPU, isPacked), found = run(cuda, kDLCUDA, isPacked);
      compare("o", found.o, expected.o);
      compare("S", found.S, expected.S);
    }
  }
  lathe::Options options;
  options.dims = "K=16,V=32";
  options.pass = LATHE_BACKWARD;
  const lathe::Kernel cpu(gla, options);
  options.device = {kDLCUDA, 0};
  const lathe::Kernel cuda(gla, options);
  const Gradients expected = differentiate(cpu, kDLCPU), found = differentiate(cuda, kDLCUDA);
  compare("d.q", found.q, expected.q);
  compare("d.k", found.k, expected.k);
  compare("d.v", found.v, expected.v);
  compare("d.g", found.g, expected.g);
  compare("d.initial S", found.S, expected.S);
  compare("d.scale", found.scale, expected.scale);
  std::printf("device: %s\n", failures ? "FAILED" : "passed");
  return failures ? 1 : 0;
}
