#pragma once

#include "lathe/lathe.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::xla {

// What a program of XLA says about a kernel. It holds no pointer, as programs are kept on disk.
struct KernelRequest {
  std::string text, variant;  // of the spec, and which variant of it
  std::string dims, dtypes;   // as lathe_options has them
  std::int32_t pass = LATHE_FORWARD;
  DLDevice device = {kDLCPU, 0};
  std::int64_t batch = 0, tokens = 0, heads = 0;
};

struct Kernel {
  const lathe_kernel* handle = nullptr;
  std::vector<std::string> tensors;  // names, in the order of lathe_call.tensors
};

// The kernel for a request, made once and kept for the life of the process. Safe from any thread.
// After an error the handle is null, `status` says why, and lathe_last_error has the text.
Kernel kernelFor(const KernelRequest& request, lathe_status& status);

}  // namespace lathe::xla
