// The CUDA driver: found on first use, its errors turned into text, contexts borrowed.
#pragma once

#include "runtime/driver/CudaApi.h"

#include <string>

namespace lathe::cuda {

/// The driver, loaded and initialised on first use; thread-safe. LATHE_CUDA_PATH names another file
/// than libcuda.so.1. Throws Error where there is none.
const Api& api();

/// Whether `api()` would work. Says why not where `problem` is given.
bool available(std::string* problem = nullptr);

/// Throws Error "<what was asked>: CUDA_ERROR_X (text)" where the result is not success.
void check(Result result, const std::string& asked);

/// Throws Error in the child of a fork whose parent had loaded the driver: it does not work there.
void checkProcess();

/// "CUDA_ERROR_INVALID_VALUE (invalid argument)".
std::string describe(Result result);

/// Tells contexts apart, also one that was destroyed from a later one at the same address (drivers
/// of CUDA 12 and later).
unsigned long long contextId(Context context);

/// While it lives, a context of `device` is current on this thread: the caller's own if it is on
/// that device, otherwise the primary context, which is retained once and kept. Never creates a
/// context.
class ContextScope {
public:
  explicit ContextScope(int device);
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

  Context context() const { return current; }
  /// contextId of it.
  unsigned long long id() const { return currentId; }

private:
  Context current = nullptr;
  unsigned long long currentId = 0;
  bool pushed = false;
};

/// While it lives, calls of this thread that wait on the device do not break a capture that another
/// thread has begun in global mode.
class RelaxedCapture {
public:
  RelaxedCapture();
  ~RelaxedCapture();
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

private:
  int mode = captureModeRelaxed;
};

}  // namespace lathe::cuda
