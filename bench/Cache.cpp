#include "bench/Cases.h"
#include "bench/Support.h"
#include "runtime/Module.h"
#include "runtime/driver/Cuda.h"

#include <optional>

namespace lathe::bench {

namespace {

/// What a new process does before its first launch of a kernel that another one has compiled: spec
/// to source, key, lookup, digest, and, with a GPU, loading the cubin.
void warmCache(benchmark::State& state, const std::string& variant) {
  const std::string text = textOf(variant);
  const Device device = targetDevice();
  const ScratchFolder folder;
  const auto get = [&](Kernels& kernels) {
    const CompiledVariant compiled = compileText(text, variant);
    return kernels.get(defaultKernel(compiled.plan, device).source, device.arch);
  };
  {
    Kernels filling(folder.store());
    get(filling);
  }
  std::optional<cuda::ContextScope> scope;
  if (hasGpu())
    scope.emplace(0);
  for (auto _ : state) {
    Kernels kernels(folder.store());
    const Fetched fetched = get(kernels);
    if (fetched.origin != Origin::disk) {
      state.SkipWithError("the cache missed");
      break;
    }
    if (scope)
      benchmark::DoNotOptimize(Module(*fetched.kernel, 0).function());
  }
  state.SetLabel(scope ? "with the load by the driver" : "no GPU: without the load");
}

}  // namespace

void registerCache() { forEachVariant("warm_cache_to_module", benchmark::kMillisecond, warmCache); }

}  // namespace lathe::bench
