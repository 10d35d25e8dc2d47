#include "compiler/cuda/Dot.h"

#include "compiler/cuda/Families.h"

namespace lathe {

KernelSource emitDot(DType b) {
  KernelSource kernel;
  kernel.entry = "lathe_dot";
  kernel.threads = 512;
  kernel.sharedBytes = sizeof(float) * (kernel.threads / 32);
  kernel.text = cuda::textOf(kernel, "templates/kernels/dot.cuh",
                             std::string("dotOfBlock<") + cuda::cudaType(b) + ", " +
                                 std::to_string(kernel.threads) +
                                 ">(args, reinterpret_cast<float*>(shared))");
  return kernel;
}

}  // namespace lathe
