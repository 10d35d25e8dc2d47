#include "runtime/Device.h"

#include "runtime/Error.h"
#include "runtime/driver/Cuda.h"

#include <array>

namespace lathe {

std::string archOf(int major, int minor) {
  std::string arch = "sm_" + std::to_string(10 * major + minor);
  return major == 9 && minor == 0 ? arch + "a" : arch;
}

int deviceCount() {
  cuda::checkProcess();
  int count = 0;
  cuda::check(cuda::api().deviceGetCount(&count), "the number of GPUs");
  return count;
}

DeviceInfo deviceInfo(int ordinal) {
  const cuda::Api& api = cuda::api();
  int count = deviceCount();
  if (ordinal < 0 || ordinal >= count)
    throw Error("there is no GPU " + std::to_string(ordinal) + "; this machine has " +
                (count == 0   ? "none"
                 : count == 1 ? "GPU 0 only"
                              : "GPUs 0 to " + std::to_string(count - 1)));
  cuda::DeviceHandle device;
  cuda::check(api.deviceGet(&device, ordinal), "GPU " + std::to_string(ordinal));
  auto attribute = [&](cuda::Attribute which) {
    int value = 0;
    cuda::check(api.deviceGetAttribute(&value, which, device),
                "attribute " + std::to_string(which) + " of GPU " + std::to_string(ordinal));
    return value;
  };
  DeviceInfo info;
  info.ordinal = ordinal;
  std::array<char, 256> name = {};
  cuda::check(api.deviceGetName(name.data(), int(name.size()) - 1, device), "the name of a GPU");
  info.name = name.data();
  info.major = attribute(cuda::computeMajor);
  info.minor = attribute(cuda::computeMinor);
  info.limits.arch = archOf(info.major, info.minor);
  info.limits.multiprocessors = attribute(cuda::multiprocessorCount);
  info.limits.sharedPerBlock = attribute(cuda::sharedPerBlockOptin);
  info.limits.sharedPerMultiprocessor = attribute(cuda::sharedPerMultiprocessor);
  info.limits.registersPerMultiprocessor = attribute(cuda::registersPerMultiprocessor);
  cuda::check(api.deviceTotalMem(&info.memoryBytes, device), "the memory of a GPU");
  info.l2Bytes = attribute(cuda::l2CacheBytes);
  info.clockKHz = attribute(cuda::clockRateKHz);
  info.memoryClockKHz = attribute(cuda::memoryClockKHz);
  info.memoryBusBits = attribute(cuda::memoryBusBits);
  cuda::check(api.driverGetVersion(&info.driverVersion), "the version of the driver");
  return info;
}

}  // namespace lathe
