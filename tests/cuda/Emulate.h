// A generated kernel that runs on the processor, compiled as C++: only its types and scalar
// functions are other ones (EmulatedDevice.h).
#pragma once

#include "compiler/cuda/Kernel.h"
#include "runtime/Launch.h"

#include <filesystem>

namespace lathe::test {

/// Takes kernels that use no more of CUDA than barriers and shuffles of floats.
class Emulated {
public:
  /// Throws std::runtime_error where the source is no C++.
  explicit Emulated(const KernelSource& kernel);
  ~Emulated();
  Emulated(const Emulated&) = delete;
  Emulated& operator=(const Emulated&) = delete;

  /// `seed` decides in which order warps run. False where threads wait for others that never come.
  bool run(const LaunchPlan& plan, unsigned seed) const;

private:
  using Function = bool (*)(const void* args, int blocks, int threads, unsigned long sharedBytes,
                            unsigned seed);
  std::filesystem::path folder;
  void* library = nullptr;
  Function function = nullptr;
};

}  // namespace lathe::test
