// Tests against the pretended driver.
#pragma once

#include "runtime/driver/Cuda.h"
#include "tests/runtime/FakeCuda.h"
#include "tests/runtime/Support.h"

#include <dlfcn.h>

namespace lathe::test {

/// Points the runtime at the pretended driver, with a clean account.
struct DriverTest : NvrtcTest {
  DriverTest() : fake(load()) { *fake = FakeCuda(); }

  static FakeCuda* load() {
    setenv("LATHE_CUDA_PATH", LATHE_FAKE_CUDA, 1);
    void* library = dlopen(LATHE_FAKE_CUDA, RTLD_NOW);
    return reinterpret_cast<FakeCuda* (*)()>(dlsym(library, "fakeCuda"))();
  }

  static cuda::Context contextOf(int device) {
    void* library = dlopen(LATHE_FAKE_CUDA, RTLD_NOW);
    return reinterpret_cast<cuda::Context (*)(int)>(dlsym(library, "fakeCudaContext"))(device);
  }

  FakeCuda* fake;
};

}  // namespace lathe::test
