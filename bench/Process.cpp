// What a new process waits for, all of it: start, libraries, NVRTC, cache, driver.
#include "bench/Cases.h"
#include "bench/Support.h"
#include "runtime/Module.h"
#include "runtime/driver/Cuda.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>

namespace lathe::bench {

namespace {

constexpr const char* childFlag = "--load-from-cache";

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

StoreOptions storeIn(const std::string& folder) {
  StoreOptions options;
  options.root = folder;
  return options;
}

CompiledKernel kernelFrom(Kernels& kernels, const std::string& variant) {
  const Device device = targetDevice();
  const CompiledVariant compiled = compileText(textOf(variant), variant);
  return *kernels.get(defaultKernel(compiled.plan, device).source, device.arch).kernel;
}

/// Runs this program again; it answers with the time at which the module was loaded, on the clock
/// that all processes share, and the seconds that CUDA took to create its context.
bool runChild(const std::string& variant, const std::string& folder, double& end, double& context) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = program + " " + childFlag + " " + variant + " " + folder;
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe)
    return false;
  const bool read = std::fscanf(pipe, "%lf %lf", &end, &context) == 2;
  return pclose(pipe) == 0 && read;
}

void newProcess(benchmark::State& state, const std::string& variant) {
  const ScratchFolder folder;
  {
    Kernels filling(folder.store());
    kernelFrom(filling, variant);
  }
  for (auto _ : state) {
    double end = 0, context = 0;
    const double begin = seconds();
    if (!runChild(variant, folder.folder().string(), end, context)) {
      state.SkipWithError("the process failed");
      break;
    }
    state.SetIterationTime(end - begin - context);
    state.counters["context_ms"] = 1e3 * context;
  }
  state.SetLabel(hasGpu() ? "beyond context creation" : "no GPU: without the load");
}

}  // namespace

bool runAsChild(int argc, char** argv) {
  if (argc != 4 || std::strcmp(argv[1], childFlag) != 0)
    return false;
  double context = 0;
  std::optional<cuda::ContextScope> scope;
  const double begin = seconds();
  if (hasGpu()) {
    scope.emplace(0);
    context = seconds() - begin;
  }
  Kernels kernels{Store(storeIn(argv[3]))};
  const CompiledKernel kernel = kernelFrom(kernels, argv[2]);
  if (scope)
    benchmark::DoNotOptimize(Module(kernel, 0).function());
  std::printf("%.9f %.9f\n", seconds(), context);
  return true;
}

void registerProcess() {
  for (const char* variant : variantNames)
    benchmark::RegisterBenchmark((std::string("new_process_to_module/") + variant).c_str(),
                                 newProcess, std::string(variant))
        ->Unit(benchmark::kMillisecond)
        ->UseManualTime();
}

}  // namespace lathe::bench
