// What the pretended driver is told and what it noted. It has two GPUs, of compute capability 9.0
// and 8.6.
#pragma once

#include "runtime/driver/CudaApi.h"

#include <string>

struct FakeCuda {
  int primaryRetains = 0, loads = 0, unloads = 0, launches = 0, sharedAttribute = 0,
      allocations = 0;
  int refusedLoads = 0;  ///< Loads still to be refused.
  bool refuseLaunch = false;
  bool capturing = false;  ///< What every stream says.
  int loadsUnderGlobalCapture = 0;
  unsigned grid = 0, threads = 0, sharedBytes = 0;
  lathe::cuda::StreamHandle stream = nullptr;
  lathe::cuda::Context context = nullptr;  ///< Of the last launch.
  std::string argument;                    ///< Of the last launch: the first 4096 bytes.
  std::size_t argumentBytes = 0;           ///< How many of them to keep.
};

extern "C" FakeCuda* fakeCuda();

/// A context of GPU `ordinal` other than its primary one.
extern "C" lathe::cuda::Context fakeCudaContext(int ordinal);
