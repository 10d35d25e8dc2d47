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

/// A kernel compiled for a GPU and loaded in the contexts that launch it. Thread-safe.
class LoadedKernel {
public:
  /// Compiles for GPU `device` and loads into the current context of that GPU, or its primary one.
  /// Throws Error, CompileError, LoadError. A cached cubin that the driver refuses is compiled
  /// again, once.
  LoadedKernel(Kernels& kernels, const KernelSource& source, int device);

  const Fetched& fetched() const { return own; }
  int device() const { return gpu; }

  /// On `stream` of the current context.
  void launch(const LaunchPlan& plan, cuda::StreamHandle stream) const;

private:
  cuda::Function functionFor(unsigned long long context, cuda::StreamHandle stream) const;

  int gpu;
  std::size_t sharedBytes;
  Fetched own;
  mutable std::mutex mutex;
  mutable std::vector<std::pair<unsigned long long, cuda::Function>> functions;
};

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
  const CompiledKernel& kernel() const { return *loaded.fetched().kernel; }
  Origin origin() const { return loaded.fetched().origin; }

  /// Binds and launches on `stream` of the current context. Returns at once: what the kernel does
  /// wrong appears in a later call. Throws ArgumentError where the arguments break a rule, Error
  /// where the driver refuses.
  void launch(std::span<const TensorView> arguments, std::span<const float> constants,
              cuda::StreamHandle stream, const Workspace& workspace = {},
              const IndexLists& lists = {}) const;
  void launch(const Call& call, cuda::StreamHandle stream) const;

  const LoadedKernel& code() const { return loaded; }

  /// For arguments bound before by `binder()`.
  void launch(const LaunchPlan& plan, cuda::StreamHandle stream) const;

private:
  Binder bound;
  LoadedKernel loaded;
};

/// Launches a bound kernel in the context that is current.
void launch(cuda::Function function, const LaunchPlan& plan, cuda::StreamHandle stream);

}  // namespace lathe
