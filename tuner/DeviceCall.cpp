#include "compiler/cuda/Segments.h"
#include "runtime/Error.h"
#include "runtime/driver/Cuda.h"
#include "tuner/Numbers.h"
#include "tuner/Parallel.h"
#include "tuner/Workload.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace lathe {

namespace {

constexpr std::int64_t margin = 256;  ///< Bytes of canary before and after the elements.
constexpr auto canary = std::byte(0xc5);
constexpr auto nan = std::byte(0xff);  ///< Repeated, a NaN in every dtype.
constexpr std::int64_t rowGrain = 1 << 10;

/// One tensor of a call: rows of contiguous elements, one for each index of the leading axes.
struct Region {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape, strides;
  std::size_t leading = 0;
  std::int64_t rows = 1, width = 1, span = 0;  ///< span: elements from the first to the last.
  std::int64_t offset = 0;
  const HostTensor* initial = nullptr;  ///< What it holds before the call; else NaN.
  Buffer buffer;

  std::int64_t size() const { return 2 * margin + (offset + span) * bytes(dtype); }

  TensorView view(int device) const {
    auto* data = static_cast<std::byte*>(buffer.data()) + margin + offset * bytes(dtype);
    return {data, dtype, shape, strides, device};
  }

  /// Calls body(byte offset of the row within the buffer, index of the row in a dense tensor whose
  /// batch axis has `batches`).
  template <typename Body> void forEachRow(std::int64_t batches, const Body& body) const {
    parallelFor(rows, rowGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t rest = row, at = offset, source = 0, dense = 1;
        for (std::size_t axis = leading; axis-- > 0;) {
          std::int64_t index = rest % shape[axis];
          rest /= shape[axis];
          at += index * strides[axis];
          std::int64_t extent = axis == 0 && leading > 1 ? batches : shape[axis];
          source += index % extent * dense;
          dense *= extent;
        }
        body(margin + at * bytes(dtype), source);
      }
    });
  }

  std::vector<std::byte> image() const {
    std::vector<std::byte> bytesOf(size(), canary);
    std::int64_t batches = initial && leading > 1 ? initial->shape[0] : 1;
    forEachRow(batches, [&](std::int64_t at, std::int64_t row) {
      if (initial)
        encode(dtype, initial->data.data() + row * width, width, bytesOf.data() + at);
      else
        std::memset(bytesOf.data() + at, int(nan), width * bytes(dtype));
    });
    return bytesOf;
  }

  void upload() const { buffer.upload(image().data()); }

  HostTensor download() const {
    std::vector<std::byte> found(size());
    buffer.download(found.data());
    HostTensor tensor{shape, std::vector<double>(rows * width)};
    forEachRow(shape[0], [&](std::int64_t at, std::int64_t row) {
      decode(dtype, found.data() + at, width, tensor.data.data() + row * width);
      std::memset(found.data() + at, int(canary), width * bytes(dtype));
    });
    auto written =
        std::find_if(found.begin(), found.end(), [](std::byte b) { return b != canary; });
    if (written != found.end())
      throw Error("the kernel wrote outside '" + name + "': byte " +
                  std::to_string(written - found.begin() - margin - offset * bytes(dtype)) +
                  " from its first element, which is none of its own");
    return tensor;
  }
};

}  // namespace

struct DeviceCall::Impl {
  Impl(const Plan& plan, const Signature& signature, const Shape& shape, const HostCall& given,
       const Placement& placement)
      : plan(plan), signature(signature), shape(shape), placement(placement) {
    if (placement.inPlace)
      restored = given.initial;
    scope.emplace(placement.device);
    for (int i = 0; i < int(plan.operands.size()); ++i)
      add(i, given);
    scope.reset();
  }

  ~Impl() {
    scope.emplace(placement.device);
    inputs.clear();
    outputs.clear();
    states.clear();
    workspace = Buffer();
    scope.reset();
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
      outputs.push_back(make(index, {shape.batch, shape.tokens, shape.heads}, nullptr));
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
      inputs.push_back(make(index, {shape.batch, shape.heads}, &initial->second));
      call.initial[name] = inputs.back().view(placement.device);
    }
    if (!shared && !placement.finalStates)
      return;
    states.push_back(make(index, {shape.batch, shape.heads}, shared ? &initial->second : nullptr));
    call.final[name] = states.back().view(placement.device);
    if (shared)
      call.initial[name] = call.final[name];
  }

  Region make(int index, std::vector<std::int64_t> leading, const HostTensor* initial) const {
    const Operand& operand = plan.operands[index];
    Region region;
    region.name = operand.name;
    region.dtype = signature.dtypes.at(index);
    region.leading = leading.size();
    region.offset = placement.offset;
    region.initial = initial;
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
    std::vector<std::byte> image(workspace.bytes(), nan);
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
  std::map<std::string, HostTensor> restored;  ///< By `poison`, where states are in place.
  std::vector<Region> inputs, outputs, states;
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
