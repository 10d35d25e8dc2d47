// The GPUs of this machine, as the driver reports them.
#pragma once

#include "compiler/cuda/Space.h"

#include <cstdint>
#include <string>

namespace lathe {

struct DeviceInfo {
  int ordinal = 0;
  std::string name;          ///< "NVIDIA H200"
  int major = 0, minor = 0;  ///< Compute capability.
  Device limits;             ///< What tiles are chosen by.
  std::size_t memoryBytes = 0;
  std::size_t l2Bytes = 0;
  int clockKHz = 0;
  int memoryClockKHz = 0, memoryBusBits = 0;
  int driverVersion = 0;  ///< 12040 for CUDA 12.4.
};

/// The architecture to compile for: sm_90a for 9.0, whose kernels may use what later GPUs do not
/// have; otherwise sm_ and the capability.
std::string archOf(int major, int minor);

/// Throws Error where there is no driver.
int deviceCount();

/// Throws Error where there is no driver or no such device.
DeviceInfo deviceInfo(int ordinal);

}  // namespace lathe
