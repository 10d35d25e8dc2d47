// Time on the GPU.
#pragma once

#include "runtime/Device.h"
#include "runtime/Memory.h"

#include <functional>
#include <memory>
#include <vector>

namespace lathe {

/// Median and median absolute deviation, in microseconds.
struct Timing {
  double microseconds = 0, mad = 0;
};

/// Of at least one sample.
Timing summarise(std::vector<double> samples);

/// Times launches on a stream of its own, each with a cold L2: before each, outside the measured
/// time, twice the size of L2 is written. That write also hides the host's part of a launch.
class Stopwatch {
public:
  using Launch = std::function<void(cuda::StreamHandle)>;

  /// Throws Error where the GPU cannot be used.
  explicit Stopwatch(const DeviceInfo& gpu);
  ~Stopwatch();

  /// Launches for 20 ms or more, after which the clocks are up.
  void warmUp(const Launch& launch) const;

  /// Microseconds of each of `repeats` launches. Throws Error for what a kernel did wrong.
  std::vector<double> sample(const Launch& launch, int repeats) const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// GB/s of a copy of a large buffer within the memory of the GPU, counting what is read and what is
/// written: the ceiling that kernels bound by memory are held against.
double copyBandwidth(const DeviceInfo& gpu);

}  // namespace lathe
