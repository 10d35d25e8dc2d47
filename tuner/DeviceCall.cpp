#include "compiler/cuda/Segments.h"
#include "runtime/Error.h"
#include "runtime/driver/Cuda.h"
#include "tuner/Region.h"

#include <algorithm>
#include <optional>

namespace lathe {

struct DeviceCall::Impl {
  Impl(const Plan& plan, const Signature& signature, const Shape& shape, const HostCall& given,
       const Placement& placement)
      : plan(plan), signature(signature), shape(shape), placement(placement),
        stateRows(given.stateRows(shape)) {
    if (placement.inPlace)
      restored = given.initial;
    findOwned(given);
    scope.emplace(placement.device);
    for (int i = 0; i < int(plan.operands.size()); ++i)
      add(i, given);
    call.lists.cuSeqlens = upload(given.cuSeqlens);
    call.lists.slots = upload(given.slots);
    scope.reset();
  }

  ~Impl() {
    scope.emplace(placement.device);
    inputs.clear();
    outputs.clear();
    states.clear();
    lists.clear();
    workspace = Buffer();
    scope.reset();
  }

  void findOwned(const HostCall& host) {
    if (!host.cuSeqlens.empty()) {
      ownedTokens.assign(shape.tokens, false);
      std::fill(ownedTokens.begin() + host.cuSeqlens.front(),
                ownedTokens.begin() + host.cuSeqlens.back(), true);
    }
    if (!host.slots.empty())
      ownedStates.assign(stateRows, false);
    for (std::int64_t slot : host.slots)
      if (slot >= 0)
        ownedStates.at(slot) = true;
  }

  IndexView upload(const std::vector<std::int64_t>& list) {
    if (list.empty())
      return {};
    const std::vector<std::int32_t> narrow(list.begin(), list.end());
    const bool wide = placement.wideLists;
    lists.emplace_back(list.size() * (wide ? sizeof(list[0]) : sizeof(narrow[0])));
    lists.back().upload(wide ? static_cast<const void*>(list.data()) : narrow.data());
    return contiguousList(lists.back().data(), wide ? 64 : 32, std::int64_t(list.size()),
                          placement.device);
  }

  void add(int index, const HostCall& host) {
    const Operand& operand = plan.operands[index];
    switch (operand.kind) {
    case Operand::Kind::constant:
      return;
    case Operand::Kind::input: {
      const HostTensor& tensor = host.tensors.at(operand.name);
      inputs.push_back(make(index, {shape.batch, shape.tokens, tensor.shape[2]}, &tensor));
      call.tensors[operand.name] = inputs.back().view(placement.device);
      return;
    }
    case Operand::Kind::param:
      inputs.push_back(make(index, {shape.heads}, &host.tensors.at(operand.name)));
      call.tensors[operand.name] = inputs.back().view(placement.device);
      return;
    case Operand::Kind::output:
      outputs.push_back(make(index, {shape.batch, shape.tokens, shape.heads}, nullptr, true));
      call.tensors[operand.name] = outputs.back().view(placement.device);
      return;
    case Operand::Kind::state:
      return addState(index, placement.inPlace ? restored : host.initial);
    }
  }

  void addState(int index, const std::map<std::string, HostTensor>& initials) {
    const std::string& name = plan.operands[index].name;
    auto initial = initials.find(name);
    bool given = initial != initials.end(), shared = given && placement.inPlace;
    if (given && !shared) {
      inputs.push_back(makeState(index, &initial->second, placement.exchangedInitial));
      call.initial[name] = inputs.back().view(placement.device);
    }
    if (!shared && !placement.finalStates)
      return;
    states.push_back(
        makeState(index, shared ? &initial->second : nullptr, placement.exchangedFinal, true));
    call.final[name] = states.back().view(placement.device);
    if (shared)
      call.initial[name] = call.final[name];
  }

  Region makeState(int index, const HostTensor* initial, bool exchanged,
                   bool written = false) const {
    return make(index, {stateRows, shape.heads}, initial, written, exchanged);
  }

  Region make(int index, std::vector<std::int64_t> leading, const HostTensor* initial,
              bool written = false, bool exchanged = false) const {
    const Operand& operand = plan.operands[index];
    Region region;
    region.name = operand.name;
    region.dtype = signature.dtypes.at(index);
    region.leading = leading.size();
    region.offset = placement.offset;
    region.initial = initial;
    region.written = written;
    region.owned = leading.size() == 3 ? ownedTokens : ownedStates;
    region.ownedAxis = leading.size() == 3 ? 1 : 0;
    if (leading.size() == 1)
      region.owned.clear();
    for (std::int64_t size : leading)
      region.rows *= size;
    region.shape = leading;
    for (const std::string& dim : operand.dims) {
      region.shape.push_back(signature.dims.at(dim));
      region.width *= region.shape.back();
    }
    region.strides.assign(region.shape.size(), 1);
    for (std::size_t axis = region.shape.size(); axis-- > leading.size() + 1;)
      region.strides[axis - 1] = region.strides[axis] * region.shape[axis];
    if (exchanged && operand.dims.size() == 2) {
      region.inner = region.shape[leading.size()];
      region.strides[leading.size()] = 1;
      region.strides[leading.size() + 1] = region.inner;
    }
    std::int64_t next = region.width;
    auto place = [&](std::size_t axis, std::int64_t gap) {
      region.strides[axis] = next + gap;
      next = region.strides[axis] * std::max<std::int64_t>(1, leading[axis]);
    };
    if (leading.size() == 3) {
      bool tokensInner = placement.layout == Layout::bhtd;
      // The gap follows all heads of a token, or the one row where a token's heads lie apart.
      if (tokensInner)
        place(1, placement.gap);
      place(2, 0);
      if (!tokensInner)
        place(1, placement.gap);
      place(0, 0);
    } else {
      for (std::size_t axis = leading.size(); axis-- > 0;)
        place(axis, 0);
    }
    region.span = next;
    region.buffer = Buffer(region.size());
    region.upload();
    return region;
  }

  void poisonWorkspace() const {
    if (workspace.bytes() == 0)
      return;
    std::vector<std::byte> image(workspace.bytes(), Region::nan);
    std::fill_n(image.begin(), workspaceHead, std::byte(0));
    workspace.upload(image.data());
  }

  void checkWorkspace() const {
    std::vector<std::byte> found(workspace.bytes());
    if (found.empty())
      return;
    workspace.download(found.data());
    auto end = found.begin() + workspaceHead;
    auto left = std::find_if(found.begin(), end, [](std::byte b) { return b != std::byte(0); });
    if (left != end)
      throw Error("the kernel left byte " + std::to_string(left - found.begin()) +
                  " of its workspace at " + std::to_string(int(*left)) + ", not at 0");
  }

  const Plan plan;
  const Signature signature;
  const Shape shape;
  const Placement placement;
  const std::int64_t stateRows;
  std::vector<bool> ownedTokens, ownedStates;  ///< Empty: all belong to a sequence.
  std::map<std::string, HostTensor> restored;  ///< By `poison`, where states are in place.
  std::vector<Region> inputs, outputs, states;
  std::vector<Buffer> lists;
  Call call;
  Buffer workspace;
  std::optional<cuda::ContextScope> scope;
};

DeviceCall::DeviceCall(const Plan& plan, const Signature& signature, const Shape& shape,
                       const HostCall& host, Placement placement)
    : impl(std::make_shared<Impl>(plan, signature, shape, host, placement)) {}

const Call& DeviceCall::call() const { return impl->call; }

LaunchPlan DeviceCall::bind(const Binder& binder, const std::map<std::string, float>& constants) {
  Call call = impl->call;
  call.constants = constants;
  LaunchPlan plan = binder.bind(call);
  if (plan.workspaceBytes > impl->workspace.bytes()) {
    cuda::ContextScope scope(impl->placement.device);
    impl->workspace = Buffer(plan.workspaceBytes);
    impl->poisonWorkspace();
  }
  plan.useWorkspace({impl->workspace.data(), impl->workspace.bytes(), impl->placement.device});
  return plan;
}

void DeviceCall::poison() {
  cuda::ContextScope scope(impl->placement.device);
  impl->poisonWorkspace();
  for (const std::vector<Region>* regions : {&impl->outputs, &impl->states})
    for (const Region& region : *regions)
      region.upload();
}

HostResult DeviceCall::download() const {
  cuda::ContextScope scope(impl->placement.device);
  synchronizeDevice();
  impl->checkWorkspace();
  HostResult result;
  for (const Region& region : impl->outputs)
    result.outputs[region.name] = region.download();
  for (const Region& region : impl->states)
    result.states[region.name] = region.download();
  return result;
}

}  // namespace lathe
