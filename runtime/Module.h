// A cubin to a function that can be launched.
#pragma once

#include "runtime/Compile.h"
#include "runtime/Error.h"
#include "runtime/driver/Cuda.h"

#include <cstddef>
#include <memory>

namespace lathe {

/// The driver refused a cubin.
class LoadError : public Error {
public:
  using Error::Error;
};

/// What the driver says of a loaded kernel.
struct FunctionInfo {
  int registers = 0, localBytes = 0, staticSharedBytes = 0, maxThreads = 0;
};

/// A kernel loaded into the context that is current. Unloads itself, so keep it until its launches
/// are done, and let none go while a stream of the same thread is capturing.
class Module {
public:
  /// Throws LoadError where the driver refuses the cubin, Error where the GPU has less than
  /// `sharedBytes` of dynamic shared memory for a block.
  Module(const CompiledKernel& kernel, std::size_t sharedBytes);
  ~Module();
  Module(Module&& other) noexcept;
  Module& operator=(Module&&) = delete;

  cuda::Function function() const { return entry; }
  FunctionInfo info() const;

  /// Blocks of this kernel that one multiprocessor holds at once.
  int blocksPerMultiprocessor(int threads, std::size_t sharedBytes) const;

private:
  cuda::ModuleHandle module = nullptr;
  cuda::Function entry = nullptr;
};

/// The function of a kernel in the context that is current: loaded once for each context, kept for
/// the life of the process, as a captured graph may hold it. Thread-safe. Throws as Module does.
cuda::Function loadedFunction(const CompiledKernel& kernel, std::size_t sharedBytes);

}  // namespace lathe
