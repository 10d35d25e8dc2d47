#include "runtime/Module.h"

#include <map>
#include <mutex>
#include <utility>

namespace lathe {

Module::Module(const CompiledKernel& kernel, std::size_t sharedBytes) {
  const cuda::Api& api = cuda::api();
  cuda::RelaxedCapture relaxed;
  std::string what = "kernel " + kernel.entry + " for " + kernel.arch;
  if (cuda::Result result = api.moduleLoadData(&module, kernel.cubin.data()))
    throw LoadError("the driver does not load " + what + ": " + cuda::describe(result));
  try {
    if (cuda::Result result = api.moduleGetFunction(&entry, module, kernel.entry.c_str()))
      throw LoadError("the driver does not find " + what + ": " + cuda::describe(result));
    if (sharedBytes > 0)
      cuda::check(api.funcSetAttribute(entry, cuda::maxDynamicSharedBytes, int(sharedBytes)),
                  what + " wants " + std::to_string(sharedBytes) +
                      " bytes of dynamic shared memory a block");
  } catch (const Error&) {
    api.moduleUnload(module);
    throw;
  }
}

Module::Module(Module&& other) noexcept
    : module(std::exchange(other.module, nullptr)), entry(std::exchange(other.entry, nullptr)) {}

Module::~Module() {
  if (!module)
    return;
  cuda::RelaxedCapture relaxed;
  cuda::api().moduleUnload(module);
}

FunctionInfo Module::info() const {
  auto attribute = [&](cuda::FunctionAttribute which) {
    int value = 0;
    cuda::check(cuda::api().funcGetAttribute(&value, which, entry), "attributes of a kernel");
    return value;
  };
  return {attribute(cuda::registers), attribute(cuda::localBytes),
          attribute(cuda::staticSharedBytes), attribute(cuda::maxThreadsPerBlock)};
}

int Module::blocksPerMultiprocessor(int threads, std::size_t sharedBytes) const {
  int blocks = 0;
  cuda::check(cuda::api().occupancy(&blocks, entry, threads, sharedBytes),
              "the occupancy of a kernel");
  return blocks;
}

cuda::Function loadedFunction(const CompiledKernel& kernel, std::size_t sharedBytes) {
  // Never destroyed: the driver frees its modules itself when the process ends, and may be gone
  // before us.
  static auto* mutex = new std::mutex;
  static auto* modules = new std::map<std::pair<unsigned long long, std::string>, Module>;
  cuda::Context context = nullptr;
  cuda::check(cuda::api().ctxGetCurrent(&context), "the current context");
  if (!context)
    throw Error("no CUDA context is current; make a device current before loading a kernel");
  std::pair<unsigned long long, std::string> key(cuda::contextId(context), kernel.key);
  std::lock_guard lock(*mutex);
  auto found = modules->find(key);
  if (found == modules->end())
    found = modules->emplace(key, Module(kernel, sharedBytes)).first;
  return found->second.function();
}

}  // namespace lathe
