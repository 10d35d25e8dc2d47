#include "runtime/Prepare.h"

#include "cache/Log.h"
#include "runtime/Device.h"
#include "runtime/Module.h"

namespace lathe {

void launch(cuda::Function function, const LaunchPlan& plan, cuda::StreamHandle stream) {
  if (plan.grid == 0)
    return;
  void* parameters[] = {const_cast<std::byte*>(plan.argument.data())};
  cuda::Result result = cuda::api().launchKernel(function, plan.grid, 1, 1, plan.threads, 1, 1,
                                                 plan.sharedBytes, stream, parameters, nullptr);
  if (result != cuda::success)
    cuda::check(result, "to launch " + std::to_string(plan.grid) + " blocks of " +
                            std::to_string(plan.threads) + " threads with " +
                            std::to_string(plan.sharedBytes) + " bytes of shared memory");
}

LoadedKernel::LoadedKernel(Kernels& kernels, const KernelSource& source, int device)
    : gpu(device), sharedBytes(source.sharedBytes) {
  std::string arch = deviceInfo(device).limits.arch;
  own = kernels.get(source, arch);
  cuda::ContextScope scope(device);
  cuda::Function function;
  try {
    function = loadedFunction(*own.kernel, sharedBytes);
  } catch (const LoadError& error) {
    if (!own.hit())
      throw;
    logOnce(LogLevel::warn, "refused " + own.kernel->key,
            std::string(error.what()) + "; it came from the cache, compiling again");
    own = kernels.recompile(source, arch);
    function = loadedFunction(*own.kernel, sharedBytes);
  }
  functions.emplace_back(scope.id(), function);
}

cuda::Function LoadedKernel::functionFor(unsigned long long context,
                                         cuda::StreamHandle stream) const {
  std::lock_guard lock(mutex);
  for (auto [known, function] : functions)
    if (known == context)
      return function;
  int status = cuda::captureNone;
  cuda::check(cuda::api().streamIsCapturing(stream, &status), "whether the stream is capturing");
  if (status != cuda::captureNone)
    throw Error("kernel " + own.kernel->entry +
                " is not loaded in this context, and the stream is capturing a graph; prepare it "
                "in this context before the capture begins");
  functions.emplace_back(context, loadedFunction(*own.kernel, sharedBytes));
  return functions.back().second;
}

void LoadedKernel::launch(const LaunchPlan& plan, cuda::StreamHandle stream) const {
  if (plan.grid == 0)
    return;
  if (plan.device != gpu)
    throw ArgumentError("the tensors are on GPU " + std::to_string(plan.device) + "; kernel " +
                        own.kernel->entry + " was prepared for GPU " + std::to_string(gpu));
  if (plan.workspaceBytes && !plan.hasWorkspace)
    throw ArgumentError("kernel " + own.kernel->entry + " needs a workspace of " +
                        std::to_string(plan.workspaceBytes) +
                        " bytes for this launch; LaunchPlan::workspaceBytes says how many, "
                        "LaunchPlan::useWorkspace or Call::workspace passes it");
  cuda::ContextScope scope(gpu);
  lathe::launch(functionFor(scope.id(), stream), plan, stream);
}

PreparedKernel::PreparedKernel(Kernels& kernels, const Plan& plan, const KernelSource& source,
                               const Signature& signature, int device)
    : bound(plan, source, signature, deviceInfo(device).limits.multiprocessors),
      loaded(kernels, source, device) {}

void PreparedKernel::launch(const LaunchPlan& plan, cuda::StreamHandle stream) const {
  loaded.launch(plan, stream);
}

void PreparedKernel::launch(std::span<const TensorView> arguments, std::span<const float> constants,
                            cuda::StreamHandle stream, const Workspace& workspace,
                            const IndexLists& lists) const {
  LaunchPlan plan = bound.bind(arguments, constants, lists);
  if (workspace.data)
    plan.useWorkspace(workspace);
  launch(plan, stream);
}

void PreparedKernel::launch(const Call& call, cuda::StreamHandle stream) const {
  launch(bound.bind(call), stream);
}

}  // namespace lathe
