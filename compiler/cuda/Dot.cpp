#include "compiler/cuda/Dot.h"

#include "compiler/cuda/Families.h"

namespace lathe {

KernelSource emitDot(DType b) {
  KernelSource kernel;
  kernel.entry = "lathe_dot";
  kernel.threads = 512;
  kernel.sharedBytes = sizeof(float) * (kernel.threads / 32);
  cuda::Text text;
  text.line("// Made by Lathe.");
  text.line("namespace lathe {");
  cuda::appendTemplate(text, "templates/device/types.cuh");
  cuda::appendTemplate(text, "templates/kernels/dot.cuh");
  text.line("}  // namespace lathe");
  text.line("extern \"C\" __global__ void __launch_bounds__(", kernel.threads, ") ", kernel.entry,
            "(const __grid_constant__ lathe::Args args) {");
  text.line("  extern __shared__ __align__(128) char shared[];");
  text.line("  using namespace lathe;");
  text.line("  dotOfBlock<", cuda::cudaType(b), ", ", kernel.threads,
            ">(args, reinterpret_cast<float*>(shared));");
  text.line("}");
  kernel.text = text.str();
  return kernel;
}

}  // namespace lathe
