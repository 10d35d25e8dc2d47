#include "bench/Support.h"

#include "runtime/Device.h"
#include "runtime/driver/Cuda.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/SpecFile.h"

#include <cstdlib>

namespace lathe::bench {

namespace fs = std::filesystem;

std::string textOf(const std::string& variant) { return tool::readText(tool::findSpec(variant)); }

CompiledVariant compileText(const std::string& text, const std::string& name) {
  Diagnostics diagnostics;
  std::vector<CompiledVariant> variants = compile(text, name + ".lathe", diagnostics);
  if (variants.size() != 1)
    throw Error(name + " does not compile; lathe check says why");
  return std::move(variants.front());
}

DefaultKernel defaultKernel(const Plan& plan, const Device& device) {
  constexpr long long tokens = 4096, batchHeads = 128;
  DefaultKernel kernel;
  kernel.signature = tool::parseSignature({}, plan);
  kernel.family = plan.family(tokens);
  const Candidates tiles = candidates(plan, kernel.family, kernel.signature, device, batchHeads);
  kernel.source = emit(plan, kernel.family, kernel.signature, tiles.tiles.front());
  return kernel;
}

bool hasGpu() { return cuda::available() && deviceCount() > 0; }

Device targetDevice() { return hasGpu() ? deviceInfo(0).limits : knownDevice("sm_90a"); }

ScratchFolder::ScratchFolder() {
  std::string pattern = (fs::temp_directory_path() / "lathe-bench-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    throw Error("cannot make a folder in " + fs::temp_directory_path().string());
  path = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code error;
  fs::remove_all(path, error);
}

Store ScratchFolder::store() const {
  StoreOptions options;
  options.root = path;
  return Store(options);
}

void forEachVariant(const char* name, benchmark::TimeUnit unit,
                    void (*body)(benchmark::State& state, const std::string& variant)) {
  for (const std::string variant : variantNames) {
    const auto guarded = [body, variant](benchmark::State& state) {
      try {
        body(state, variant);
      } catch (const std::exception& error) {
        state.SkipWithError(error.what());
      }
    };
    benchmark::RegisterBenchmark((std::string(name) + "/" + variant).c_str(), guarded)
        ->Unit(unit)
        ->UseRealTime();
  }
}

}  // namespace lathe::bench
