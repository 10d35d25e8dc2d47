#include "tuner/BackwardCall.h"

#include "compiler/cuda/Backward.h"
#include "compiler/cuda/Segments.h"
#include "runtime/Error.h"
#include "runtime/driver/Cuda.h"
#include "tuner/Region.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace lathe {

using Kind = Operand::Kind;

static constexpr std::string_view prefix = "d.";

struct BackwardCall::Impl {
  Impl(const Plan& plan, const Plan& adjoint, const Signature& signature, const Shape& shape,
       const HostCall& host, bool states, int device, const std::set<std::string>& fixed)
      : shape(shape), dims(signature.dims), device(device), fixed(fixed) {
    scope.emplace(device);
    const Signature own = adjointSignature(plan, adjoint, signature);
    const std::int64_t sequences = host.sequences(shape);
    findOwned(host);
    for (std::size_t i = 0; i < adjoint.operands.size(); ++i) {
      const Operand& operand = adjoint.operands[i];
      const bool isGradient = operand.name.starts_with(prefix);
      const auto given = host.tensors.find(operand.name);
      if (operand.kind == Kind::input && given != host.tensors.end()) {
        read(operand, own.dtypes[i], {shape.batch, shape.tokens, given->second.shape[2]},
             given->second, call.tensors);
      } else if (operand.kind == Kind::param) {
        read(operand, own.dtypes[i], {shape.heads}, given->second, call.tensors);
      } else if (operand.kind == Kind::output) {
        const std::string input = operand.name.substr(prefix.size());
        write(operand, own.dtypes[i], {shape.batch, shape.tokens, host.tensors.at(input).shape[2]},
              gradients, call.tensors);
      } else if (operand.kind == Kind::state) {
        addState(plan, operand, own.dtypes[i], sequences, host, isGradient && states);
      }
    }
    if (!host.cuSeqlens.empty()) {
      const std::vector<std::int32_t> list(host.cuSeqlens.begin(), host.cuSeqlens.end());
      starts = Buffer(list.size() * sizeof(list[0]));
      starts.upload(list.data());
      call.lists.cuSeqlens =
          contiguousList(starts.data(), 32, static_cast<std::int64_t>(list.size()), device);
    }
    scope.reset();
  }

  ~Impl() {
    scope.emplace(device);
    inputs.clear();
    gradients.clear();
    states.clear();
    starts = Buffer();
    workspace = Buffer();
    scope.reset();
  }

  void findOwned(const HostCall& host) {
    if (host.cuSeqlens.empty())
      return;
    ownedTokens.assign(std::size_t(shape.tokens), false);
    std::fill(ownedTokens.begin() + host.cuSeqlens.front(),
              ownedTokens.begin() + host.cuSeqlens.back(), true);
  }

  /// A state of the variant, what flows back into one, or the sum of a param or const.
  void addState(const Plan& plan, const Operand& operand, DType dtype, std::int64_t sequences,
                const HostCall& host, bool isWanted) {
    const bool isGradient = operand.name.starts_with(prefix);
    const std::string original = operand.name.substr(isGradient ? prefix.size() : 0);
    const auto found = std::find_if(plan.operands.begin(), plan.operands.end(),
                                    [&](const Operand& one) { return one.name == original; });
    if (found != plan.operands.end() && found->kind == Kind::param)
      return write(operand, DType::f32, {shape.heads}, gradients, call.tensors);
    if (found != plan.operands.end() && found->kind == Kind::constant) {
      write(operand, DType::f32, {1}, gradients, call.tensors);
      if (const auto made = call.tensors.find(operand.name); made != call.tensors.end()) {
        made->second.shape.clear();
        made->second.strides.clear();
      }
      return;
    }
    if (const auto initial = host.initial.find(operand.name); initial != host.initial.end())
      read(operand, dtype, {sequences, shape.heads}, initial->second, call.initial);
    if (isWanted)
      write(operand, dtype, {sequences, shape.heads}, states, call.final);
  }

  Region make(const Operand& operand, DType dtype, std::vector<std::int64_t> leading) const {
    Region region;
    region.name = operand.name;
    region.dtype = dtype;
    region.leading = leading.size();
    for (const std::int64_t size : leading)
      region.rows *= size;
    region.shape = std::move(leading);
    for (const std::string& dim : operand.dims) {
      region.shape.push_back(dims.at(dim));
      region.width *= region.shape.back();
    }
    region.strides.assign(region.shape.size(), 1);
    for (std::size_t axis = region.shape.size() - 1; axis-- > 0;)
      region.strides[axis] = region.strides[axis + 1] * region.shape[axis + 1];
    region.span = region.rows * region.width;
    if (region.leading == 3) {
      region.owned = ownedTokens;
      region.ownedAxis = 1;
    }
    return region;
  }

  using Views = std::map<std::string, TensorView>;

  void read(const Operand& operand, DType dtype, std::vector<std::int64_t> leading,
            const HostTensor& tensor, Views& views) {
    Region region = make(operand, dtype, std::move(leading));
    region.initial = &tensor;
    place(std::move(region), inputs, views);
    inputs.back().initial = nullptr;
  }

  void write(const Operand& operand, DType dtype, std::vector<std::int64_t> leading,
             std::vector<Region>& regions, Views& views) {
    if (&regions == &gradients && fixed.count(operand.name.substr(prefix.size())))
      return;
    Region region = make(operand, dtype, std::move(leading));
    region.written = true;
    place(std::move(region), regions, views);
  }

  void place(Region region, std::vector<Region>& regions, Views& views) const {
    region.buffer = Buffer(std::size_t(region.size()));
    region.upload();
    views[region.name] = region.view(device);
    regions.push_back(std::move(region));
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
    if (std::any_of(found.begin(), found.begin() + workspaceHead,
                    [](std::byte one) { return one != std::byte(0); }))
      throw Error("the kernels left the head of their workspace other than zero");
  }

  const Shape shape;
  const std::map<std::string, int> dims;
  const int device;
  const std::set<std::string> fixed;
  std::vector<bool> ownedTokens;  ///< Empty: all belong to a sequence.
  std::vector<Region> inputs, gradients, states;
  Buffer starts, workspace;
  Call call;
  std::optional<cuda::ContextScope> scope;
};

BackwardCall::BackwardCall(const Plan& plan, const Plan& adjoint, const Signature& signature,
                           const Shape& shape, const HostCall& host, bool states, int device,
                           const std::set<std::string>& fixed)
    : impl(std::make_shared<Impl>(plan, adjoint, signature, shape, host, states, device, fixed)) {}

const Call& BackwardCall::call() const { return impl->call; }

SequenceLaunch BackwardCall::bind(const PreparedSequence& sequence,
                                  const std::map<std::string, float>& constants) {
  Call& call = impl->call;
  call.constants = constants;
  call.workspace = {};
  const std::size_t bytes = sequence.bind(call).workspaceBytes;
  if (bytes > impl->workspace.bytes()) {
    cuda::ContextScope scope(impl->device);
    impl->workspace = Buffer(bytes);
    impl->poisonWorkspace();
  }
  call.workspace = {impl->workspace.data(), impl->workspace.bytes(), impl->device};
  return sequence.bind(call);
}

void BackwardCall::poison() {
  cuda::ContextScope scope(impl->device);
  impl->poisonWorkspace();
  for (const std::vector<Region>* regions : {&impl->gradients, &impl->states})
    for (const Region& region : *regions)
      region.upload();
}

HostResult BackwardCall::download() const {
  cuda::ContextScope scope(impl->device);
  synchronizeDevice();
  impl->checkWorkspace();
  HostResult result;
  for (const Region& region : impl->gradients)
    result.outputs[region.name.substr(prefix.size())] = region.download();
  for (const Region& region : impl->states)
    result.states[region.name.substr(prefix.size())] = region.download();
  return result;
}

}  // namespace lathe
