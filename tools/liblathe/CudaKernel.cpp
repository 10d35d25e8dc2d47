// Kernels of a GPU.
#include "compiler/cpu/OfProcess.h"
#include "runtime/Prepare.h"
#include "tools/liblathe/CudaChoice.h"
#include "tools/liblathe/Failure.h"
#include "tools/liblathe/Kernel.h"
#include "tools/liblathe/Shared.h"
#include "tools/liblathe/Tensors.h"
#include "tuner/Oracle.h"

namespace lathe::abi {

namespace {

using Slot = Binder::Slot;
using Role = TensorRule::Role;

TensorRule ruleOf(const Slot& slot) {
  TensorRule rule;
  rule.name = slot.name;
  rule.operand = slot.operand;
  rule.role = slot.role == KernelSource::Slot::Role::initial ? Role::initialState
              : slot.role == KernelSource::Slot::Role::final ? Role::finalState
              : slot.kind == Operand::Kind::output           ? Role::output
              : slot.kind == Operand::Kind::param            ? Role::param
                                                             : Role::input;
  rule.dtype = slot.dtype;
  if (slot.leading == 3)
    rule.axes = {"batch", "tokens", "heads"};
  else if (slot.leading == 2)
    rule.axes = {"sequences", "heads"};
  else
    rule.axes = {"heads"};
  rule.sizes.assign(rule.axes.size(), -1);
  rule.axes.insert(rule.axes.end(), slot.dims.begin(), slot.dims.end());
  rule.sizes.insert(rule.sizes.end(), slot.sizes.begin(), slot.sizes.end());
  rule.isWritten = slot.written();
  rule.isOptional = slot.mayBeAbsent();
  return rule;
}

class CudaKernel : public Kernel {
public:
  CudaKernel(Kernels& kernels, const std::shared_ptr<const Variant>& variant,
             const KernelSource& source, const Request& request, Family family)
      : variant(variant), device(request.device),
        prepared(kernels, variant->compiled.plan, source, request.signature, request.device) {
    for (const Slot& slot : prepared.binder().slots())
      tensors.push_back(ruleOf(slot));
    const std::vector<std::string>& names = prepared.binder().constantNames();
    for (std::size_t i = 0; i < names.size(); ++i)
      constants.emplace_back(names[i], prepared.binder().defaultConstants()[i]);
    this->family = name(family);
    origin = name(prepared.origin());
  }

  std::size_t workspaceBytes(const lathe_call& call) const override {
    return bind(call).workspaceBytes;
  }

  void launch(const lathe_call& call, void* stream) const override {
    LaunchPlan plan = bind(call);
    plan.useWorkspace({call.workspace, call.workspace_bytes, device});
    prepared.launch(plan, static_cast<cuda::StreamHandle>(stream));
  }

private:
  LaunchPlan bind(const lathe_call& call) const {
    // Of the thread, so that a launch allocates nothing once it has had its like.
    thread_local std::vector<TensorView> views;
    thread_local std::vector<float> numbers;
    readTensors(tensors, call, device, views);
    const std::span<const double> given = readConstants(*this, call);
    numbers.assign(given.begin(), given.end());
    IndexLists lists;
    lists.cuSeqlens = readList("cu_seqlens", call.cu_seqlens, device);
    lists.slots = readList("slots", call.slots, device);
    return prepared.binder().bind(views, numbers, lists);
  }

  std::shared_ptr<const Variant> variant;
  int device;
  PreparedKernel prepared;
};

}  // namespace

Prepared prepareCuda(const std::shared_ptr<const Variant>& variant, const Request& request,
                     lathe_tuning tuning) {
  const Plan& plan = variant->compiled.plan;
  if (request.pass == LATHE_BACKWARD)
    return prepareCudaBackward(variant, request, tuning);
  if (!plan.noKernel.empty())
    throw Failure(LATHE_ERROR_UNSUPPORTED,
                  "variant " + plan.variant + " has no kernel for CUDA: " + plan.noKernel);
  const DeviceInfo gpu = deviceInfo(request.device);
  const long long tokens = request.pass == LATHE_STEP ? 1 : request.shape.tokens;
  const Problem problem{&plan, plan.family(tokens), request.signature, request.shape};
  try {
    const Choice choice = chooseTile(problem, oracleOf(variant->compiled), gpu, tuning);
    const std::string tile = toString(choice.tile);
    const std::string key = keyOf(*variant, request) + " " + name(problem.family) + " " + tile;
    auto kernel = ofProcess<Shared<std::string, Kernel>>().get(key, [&] {
      return std::make_shared<const CudaKernel>(
          ofProcess<Kernels>(), variant, emit(plan, problem.family, request.signature, choice.tile),
          request, problem.family);
    });
    return {std::move(kernel), tile, name(choice.origin)};
  } catch (const std::invalid_argument& error) {
    throw Failure(LATHE_ERROR_UNSUPPORTED, error.what());
  }
}

}  // namespace lathe::abi
