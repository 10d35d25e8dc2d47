#include "tuner/Measure.h"

#include "runtime/driver/Cuda.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>

namespace lathe {

namespace {

double median(std::vector<double>& values) {
  auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2)
    return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr double warmUpSeconds = 0.02;

}  // namespace

Timing summarise(std::vector<double> samples) {
  Timing timing;
  timing.microseconds = median(samples);
  for (double& sample : samples)
    sample = std::fabs(sample - timing.microseconds);
  timing.mad = median(samples);
  return timing;
}

struct Stopwatch::Impl {
  explicit Impl(int device) : device(device) {}

  int device;
  std::optional<Stream> stream;
  Buffer flush;
};

Stopwatch::Stopwatch(const DeviceInfo& gpu) : impl(std::make_unique<Impl>(gpu.ordinal)) {
  cuda::ContextScope scope(gpu.ordinal);
  impl->stream.emplace();
  impl->flush = Buffer(std::max<std::size_t>(2 * gpu.l2Bytes, std::size_t(1) << 20));
}

Stopwatch::~Stopwatch() {
  cuda::ContextScope scope(impl->device);
  impl.reset();
}

void Stopwatch::warmUp(const Launch& launch) const {
  cuda::ContextScope scope(impl->device);
  for (double end = seconds() + warmUpSeconds; seconds() < end;) {
    launch(*impl->stream);
    impl->stream->synchronize();
  }
}

std::vector<double> Stopwatch::sample(const Launch& launch, int repeats) const {
  constexpr int batch = 32;  // launches in flight
  cuda::ContextScope scope(impl->device);
  std::vector<Event> begins(std::min(batch, repeats)), ends(begins.size());
  std::vector<double> samples;
  while (int(samples.size()) < repeats) {
    int count = std::min(batch, repeats - int(samples.size()));
    for (int i = 0; i < count; ++i) {
      impl->flush.fill(std::uint8_t(i), *impl->stream);
      begins[i].record(*impl->stream);
      launch(*impl->stream);
      ends[i].record(*impl->stream);
    }
    impl->stream->synchronize();
    for (int i = 0; i < count; ++i)
      samples.push_back(1e3 * ends[i].since(begins[i]));
  }
  return samples;
}

double copyBandwidth(const DeviceInfo& gpu) {
  cuda::ContextScope scope(gpu.ordinal);
  const std::size_t bytes = std::min<std::size_t>(std::size_t(1) << 30, gpu.memoryBytes / 8);
  Buffer from(bytes), to(bytes);
  from.fill(1);
  Stopwatch stopwatch(gpu);
  auto copy = [&](cuda::StreamHandle stream) { to.copyFrom(from, stream); };
  synchronizeDevice();
  stopwatch.warmUp(copy);
  return 2e-3 * double(bytes) / summarise(stopwatch.sample(copy, 20)).microseconds;
}

}  // namespace lathe
