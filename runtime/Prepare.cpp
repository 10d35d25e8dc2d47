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

PreparedKernel::PreparedKernel(Kernels& kernels, const Plan& plan, const KernelSource& source,
                               const Signature& signature, int device)
    : bound(plan, source, signature, deviceInfo(device).limits.multiprocessors), device(device),
      sharedBytes(source.sharedBytes) {
  std::string arch = deviceInfo(device).limits.arch;
  fetched = kernels.get(source, arch);
  cuda::ContextScope scope(device);
  cuda::Function function;
  try {
    function = loadedFunction(*fetched.kernel, sharedBytes);
  } catch (const LoadError& error) {
    if (!fetched.hit())
      throw;
    logOnce(LogLevel::warn, "refused " + fetched.kernel->key,
            std::string(error.what()) + "; it came from the cache, compiling again");
    fetched = kernels.recompile(source, arch);
    function = loadedFunction(*fetched.kernel, sharedBytes);
  }
  functions.emplace_back(scope.id(), function);
}

cuda::Function PreparedKernel::functionFor(unsigned long long context,
                                           cuda::StreamHandle stream) const {
  std::lock_guard lock(mutex);
  for (auto [known, function] : functions)
    if (known == context)
      return function;
  int status = cuda::captureNone;
  cuda::check(cuda::api().streamIsCapturing(stream, &status), "whether the stream is capturing");
  if (status != cuda::captureNone)
    throw Error("kernel " + fetched.kernel->entry +
                " is not loaded in this context, and the stream is capturing a graph; prepare it "
                "in this context before the capture begins");
  functions.emplace_back(context, loadedFunction(*fetched.kernel, sharedBytes));
  return functions.back().second;
}

void PreparedKernel::launch(const LaunchPlan& plan, cuda::StreamHandle stream) const {
  if (plan.grid == 0)
    return;
  if (plan.device != device)
    throw ArgumentError("the tensors are on GPU " + std::to_string(plan.device) + "; kernel " +
                        fetched.kernel->entry + " was prepared for GPU " + std::to_string(device));
  if (plan.workspaceBytes && !plan.hasWorkspace)
    throw ArgumentError("kernel " + fetched.kernel->entry + " needs a workspace of " +
                        std::to_string(plan.workspaceBytes) +
                        " bytes for this launch; LaunchPlan::workspaceBytes says how many, "
                        "LaunchPlan::useWorkspace or Call::workspace passes it");
  cuda::ContextScope scope(device);
  lathe::launch(functionFor(scope.id(), stream), plan, stream);
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
