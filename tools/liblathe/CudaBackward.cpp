// The backward pass on a GPU.
#include "compiler/cpu/OfProcess.h"
#include "runtime/Sequence.h"
#include "tools/liblathe/CpuRules.h"
#include "tools/liblathe/CudaChoice.h"
#include "tools/liblathe/Failure.h"
#include "tools/liblathe/Shared.h"
#include "tools/liblathe/Tensors.h"
#include "tuner/BackwardPass.h"

namespace lathe::abi {

namespace {

using Part = CpuPlace::Part;
using Role = TensorRule::Role;

class CudaBackward : public Kernel {
public:
  CudaBackward(Kernels& kernels, const std::shared_ptr<const Variant>& variant,
               std::shared_ptr<const BackwardPass> pass, std::span<const Tile> tiles,
               const Request& request)
      : variant(variant), pass(std::move(pass)), device(request.device),
        prepared(kernels, this->pass->emit(tiles), request.device) {
    // Both targets take and give the same, but for the dtypes of states.
    const CpuProblem problem{&variant->compiled, true, request.signature, request.shape};
    CpuRules rules = rulesOf(problem, problem.target(0));
    tensors = std::move(rules.tensors);
    places = std::move(rules.places);
    const std::vector<Operand>& operands = variant->compiled.plan.operands;
    for (TensorRule& rule : tensors)
      for (std::size_t i = 0; rule.role == Role::initialState && i < operands.size(); ++i)
        if (operands[i].name == rule.operand)
          rule.dtype = request.signature.dtypes[i];
    constants = defaultsOf(variant->compiled.plan, request.signature);
    family = name(this->pass->family());
    origin = name(prepared.kernels().front()->origin());
  }

  std::size_t workspaceBytes(const lathe_call& call) const override {
    return bind(call).workspaceBytes;
  }

  void launch(const lathe_call& call, void* stream) const override {
    prepared.launch(bind(call), static_cast<cuda::StreamHandle>(stream));
  }

private:
  SequenceLaunch bind(const lathe_call& call) const {
    if (call.slots)
      reject("argument 'slots' is not null; a backward pass has no pools of states, state n is "
             "that of sequence n");
    std::vector<TensorView> views;
    readTensors(tensors, call, device, views);
    Call bound;
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (!views[i].data && tensors[i].isOptional)
        continue;
      const CpuPlace& place = places[i];
      auto& part = place.part == Part::tensors   ? bound.tensors
                   : place.part == Part::initial ? bound.initial
                                                 : bound.final;
      part[place.key] = std::move(views[i]);
    }
    const std::span<const double> given = readConstants(*this, call);
    for (std::size_t i = 0; i < given.size(); ++i)
      bound.constants[constants[i].first] = static_cast<float>(given[i]);
    bound.lists.cuSeqlens = readList("cu_seqlens", call.cu_seqlens, device);
    bound.workspace = {call.workspace, call.workspace_bytes, device};
    return prepared.bind(bound);
  }

  std::shared_ptr<const Variant> variant;
  std::shared_ptr<const BackwardPass> pass;  ///< Held for requests of other shapes.
  int device;
  PreparedSequence prepared;
  std::vector<CpuPlace> places;
};

}  // namespace

Prepared prepareCudaBackward(const std::shared_ptr<const Variant>& variant, const Request& request,
                             lathe_tuning tuning) {
  const CompiledVariant& compiled = variant->compiled;
  for (const Plan* plan : {&compiled.plan, &compiled.backward})
    if (!plan->noKernel.empty())
      throw Failure(LATHE_ERROR_UNSUPPORTED,
                    "variant " + compiled.name +
                        " has no backward pass for CUDA: " + plan->noKernel);
  const DeviceInfo gpu = deviceInfo(request.device);
  try {
    // To find out what there are kernels for takes the time of emitting them all.
    const auto pass =
        ofProcess<Shared<std::string, BackwardPass>>().get(keyOf(*variant, request), [&] {
          return std::make_shared<const BackwardPass>(compiled, request.signature, gpu.limits);
        });
    std::vector<Tile> tiles;
    ChoiceOrigin origin = ChoiceOrigin::tuned;
    for (std::size_t i = 0; i < pass->kernels().size(); ++i) {
      const Choice choice =
          chooseTile(pass->problem(i, request.shape), pass->kernels()[i].oracle, gpu, tuning);
      tiles.push_back(choice.tile);
      origin = std::max(origin, choice.origin);
    }
    const std::string tile = toString(tiles);
    const std::string key = keyOf(*variant, request) + " " + name(pass->family()) + " " + tile;
    auto kernel = ofProcess<Shared<std::string, Kernel>>().get(key, [&] {
      return std::make_shared<const CudaBackward>(ofProcess<Kernels>(), variant, pass, tiles,
                                                  request);
    });
    return {std::move(kernel), tile, name(origin)};
  } catch (const std::invalid_argument& error) {
    throw Failure(LATHE_ERROR_UNSUPPORTED, error.what());
  }
}

}  // namespace lathe::abi
