// What the benchmarks share: the variants of the library and the kernels that they default to.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Space.h"
#include "runtime/Compile.h"
#include "runtime/Launch.h"

#include <benchmark/benchmark.h>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe::bench {

inline constexpr const char* variantNames[] = {"linear_attention", "retnet", "mamba2", "gla",
                                               "gated_delta_net"};

/// The text of a library variant. Throws Error where it cannot be found.
std::string textOf(const std::string& variant);

/// Parse, check, and all passes. Throws Error after a mistake.
CompiledVariant compileText(const std::string& text, const std::string& name);

/// The kernel that an untuned forward call of B8 T4096 H16, K = V = 128, bf16 runs.
struct DefaultKernel {
  Signature signature;
  Family family = Family::scan;
  KernelSource source;
};
DefaultKernel defaultKernel(const Plan& plan, const Device& device);

/// The first GPU, else an H200.
Device targetDevice();

/// Whether there is a GPU to load and launch on.
bool hasGpu();

/// A folder that is removed with its owner.
class ScratchFolder {
public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  /// A cache in it, which the environment does not change.
  Store store() const;
  const std::filesystem::path& folder() const { return path; }

private:
  std::filesystem::path path;
};

/// Registers `body(state, variant)` once for each variant, named "<name>/<variant>". What it throws
/// (no NVRTC, no GPU) becomes the error of that benchmark.
void forEachVariant(const char* name, benchmark::TimeUnit unit,
                    void (*body)(benchmark::State& state, const std::string& variant));

}  // namespace lathe::bench
