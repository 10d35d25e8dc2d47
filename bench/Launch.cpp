#include "bench/Cases.h"
#include "bench/Support.h"
#include "runtime/Memory.h"
#include "runtime/Prepare.h"
#include "tuner/Workload.h"

namespace lathe::bench {

namespace {

constexpr std::int64_t batch = 1, tokens = 64, heads = 1;

/// Tensors of the right shapes for every slot, at one address that nothing reads.
std::vector<TensorView> viewsOf(const Binder& binder) {
  alignas(256) static std::byte memory[256];
  std::vector<TensorView> views;
  for (const Binder::Slot& slot : binder.slots()) {
    std::vector<std::int64_t> shape = {batch, tokens, heads};
    if (slot.leading < 3)
      shape = slot.leading == 2 ? std::vector<std::int64_t>{batch, heads}
                                : std::vector<std::int64_t>{heads};
    shape.insert(shape.end(), slot.sizes.begin(), slot.sizes.end());
    views.push_back(contiguous(memory, slot.dtype, shape));
  }
  return views;
}

/// Checks the arguments of a call and packs them.
void bindCall(benchmark::State& state, const std::string& variant) {
  const Plan plan = compileText(textOf(variant), variant).plan;
  const DefaultKernel kernel = defaultKernel(plan, targetDevice());
  const Binder binder(plan, kernel.source, kernel.signature);
  const std::vector<TensorView> views = viewsOf(binder);
  for (auto _ : state)
    benchmark::DoNotOptimize(binder.bind(views));
}

/// The host's part of a call of a loaded kernel: bind and launch. The stream is emptied outside the
/// measured time, before the driver's queue is full.
void launchCall(benchmark::State& state, const std::string& variant) {
  if (!hasGpu())
    throw Error("no GPU: only bind is measured");
  constexpr int inFlight = 256;
  const Plan plan = compileText(textOf(variant), variant).plan;
  const DefaultKernel kernel = defaultKernel(plan, targetDevice());
  const ScratchFolder folder;
  Kernels kernels(folder.store());
  const PreparedKernel prepared(kernels, plan, kernel.source, kernel.signature, 0);
  const cuda::ContextScope scope(0);
  const Shape shape{batch, tokens, heads};
  const DeviceCall device(plan, kernel.signature, shape, draw(plan, kernel.signature, shape, {}));
  const std::vector<TensorView> views = prepared.binder().arguments(device.call());
  const Stream stream;
  int launched = 0;
  for (auto _ : state) {
    prepared.launch(views, {}, stream);
    if (++launched % inFlight == 0) {
      state.PauseTiming();
      stream.synchronize();
      state.ResumeTiming();
    }
  }
  stream.synchronize();
}

}  // namespace

void registerLaunch() {
  forEachVariant("bind", benchmark::kNanosecond, bindCall);
  forEachVariant("warm_launch", benchmark::kMicrosecond, launchCall);
}

}  // namespace lathe::bench
