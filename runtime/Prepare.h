// A kernel compiled, loaded and ready to launch.
#pragma once

#include "runtime/Compile.h"
#include "runtime/Launch.h"
#include "runtime/driver/Cuda.h"

#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace lathe {

/// Everything that may compile, load, allocate or wait is done when it is constructed; a launch is
/// then one call of the driver on the caller's stream, which may be capturing a graph. Thread-safe.
class PreparedKernel {
public:
  /// Compiles for GPU `device` and loads into the current context of that GPU, or its primary one.
  /// Throws Error, CompileError, LoadError, ArgumentError. A cached cubin that the driver refuses
  /// is compiled again, once.
  PreparedKernel(Kernels& kernels, const Plan& plan, const KernelSource& source,
                 const Signature& signature, int device);

  /// What to pass, and in which order.
  const Binder& binder() const { return bound; }
  const CompiledKernel& kernel() const { return *fetched.kernel; }
  Origin origin() const { return fetched.origin; }

  /// Binds and launches on `stream` of the current context. Returns at once: what the kernel does
  /// wrong appears in a later call. Throws ArgumentError where the arguments break a rule, Error
  /// where the driver refuses.
  void launch(std::span<const TensorView> arguments, std::span<const float> constants,
              cuda::StreamHandle stream, const Workspace& workspace = {},
              const IndexLists& lists = {}) const;
  void launch(const Call& call, cuda::StreamHandle stream) const;

  /// For arguments bound before by `binder()`.
  void launch(const LaunchPlan& plan, cuda::StreamHandle stream) const;

private:
  cuda::Function functionFor(unsigned long long context, cuda::StreamHandle stream) const;

  Binder bound;
  int device;
  std::size_t sharedBytes;
  Fetched fetched;
  mutable std::mutex mutex;
  mutable std::vector<std::pair<unsigned long long, cuda::Function>> functions;
};

/// Launches a bound kernel in the context that is current.
void launch(cuda::Function function, const LaunchPlan& plan, cuda::StreamHandle stream);

}  // namespace lathe
