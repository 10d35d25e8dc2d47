// The plain host code that launches a generated kernel, for people who take one elsewhere.
#pragma once

#include "compiler/cuda/Kernel.h"

#include <string>

namespace lathe {

/// CUDA C++ for nvcc, to be compiled together with the kernel: it includes `kernelFile`, and
/// defines one function that takes dense tensors ([B,T,H,dims]; states [B,H,dims], null where there
/// is none) and a stream.
std::string launcher(const Plan& plan, const Signature& signature, const KernelSource& kernel,
                     const std::string& kernelFile);

}  // namespace lathe
