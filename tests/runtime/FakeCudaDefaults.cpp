// Every function of the driver, doing nothing with success; FakeCuda.cpp defines the ones that
// matter.
#include "runtime/driver/CudaApi.h"

using namespace lathe::cuda;

extern "C" {
#define LATHE_WEAK(member, symbol, parameters)                                                     \
  __attribute__((weak)) Result symbol parameters { return success; }
LATHE_CUDA_FUNCTIONS(LATHE_WEAK, LATHE_WEAK)
#undef LATHE_WEAK
}
