#include "compiler/cuda/Sum.h"

#include "compiler/cuda/Families.h"

namespace lathe {

KernelSource emitSum(DType from, DType to, int lanes) {
  KernelSource kernel;
  kernel.entry = "lathe_sum";
  kernel.threads = 256;
  kernel.text = cuda::textOf(kernel, "templates/kernels/sum.cuh",
                             std::string("sumAxes<") + cuda::cudaType(from) + ", " +
                                 cuda::cudaType(to) + ", " + std::to_string(lanes) + ", " +
                                 std::to_string(kernel.threads) + ">(args)");
  return kernel;
}

}  // namespace lathe
