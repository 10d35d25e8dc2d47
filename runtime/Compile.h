// A generated kernel to its cubin: from memory, from the cache, or from NVRTC.
#pragma once

#include "cache/Store.h"
#include "compiler/cuda/Kernel.h"
#include "runtime/Nvrtc.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace lathe {

struct CompiledKernel {
  std::string key;  ///< Key::hex: two kernels of one key are the same kernel.
  std::string entry;
  std::string arch;
  std::string cubin;
  Resources resources;
  double seconds = 0;  ///< That the compilation took when it was done.
};

/// Where a kernel came from.
enum class Origin { memory, disk, compiled };

const char* name(Origin origin);  ///< "memory", "disk", "compiled"

struct Fetched {
  std::shared_ptr<const CompiledKernel> kernel;
  Origin origin = Origin::compiled;

  bool hit() const { return origin != Origin::compiled; }
};

/// The kernels of one process. Thread-safe: different kernels compile in parallel, one kernel
/// compiles once.
class Kernels {
public:
  explicit Kernels(Store store = Store());

  /// Throws Error where there is no NVRTC or it does not know `arch`; CompileError, naming the file
  /// that the source was kept in, where it refuses the source.
  Fetched get(const KernelSource& source, const std::string& arch);

  /// As `get`, after forgetting what memory and the cache hold: for a cubin that the driver
  /// refused.
  Fetched recompile(const KernelSource& source, const std::string& arch);

  const Store& store() const { return disk; }

private:
  struct Slot {
    std::mutex mutex;
    std::shared_ptr<const CompiledKernel> kernel;
  };

  std::shared_ptr<Slot> slotOf(const std::string& key);
  std::shared_ptr<const CompiledKernel> compile(const KernelSource& source, const std::string& arch,
                                                const Key& key) const;

  Store disk;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Slot>> slots;
};

}  // namespace lathe
