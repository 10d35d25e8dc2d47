#include "compiler/cuda/Sum.h"

#include "compiler/cuda/Families.h"

namespace lathe {

KernelSource emitSum(DType from, DType to, int lanes) {
  KernelSource kernel;
  kernel.entry = "lathe_sum";
  kernel.threads = 256;
  cuda::Text text;
  text.line("// Made by Lathe.");
  text.line("namespace lathe {");
  cuda::appendTemplate(text, "templates/device/types.cuh");
  cuda::appendTemplate(text, "templates/kernels/sum.cuh");
  text.line("}  // namespace lathe");
  text.line("extern \"C\" __global__ void __launch_bounds__(", kernel.threads, ") ", kernel.entry,
            "(const __grid_constant__ lathe::Args args) {");
  text.line("  using namespace lathe;");
  text.line("  sumAxes<", cuda::cudaType(from), ", ", cuda::cudaType(to), ", ", lanes, ", ",
            kernel.threads, ">(args);");
  text.line("}");
  kernel.text = text.str();
  return kernel;
}

}  // namespace lathe
