#include "runtime/Launch.h"

#include "compiler/cuda/Segments.h"
#include "compiler/cuda/Space.h"
#include "compiler/plan/Dims.h"
#include "runtime/Binding.h"
#include "runtime/TensorMap.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace lathe {

TensorView contiguous(void* data, DType dtype, std::vector<std::int64_t> shape, int device) {
  TensorView view{data, dtype, std::move(shape), {}, device};
  view.strides.resize(view.shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = view.shape.size(); axis-- > 0; stride *= view.shape[axis])
    view.strides[axis] = stride;
  return view;
}

IndexView contiguousList(const void* data, int bits, std::int64_t size, int device) {
  return {data, bits, {size}, {1}, device};
}

bool Binder::Slot::written() const {
  return kind == Operand::Kind::output || role == KernelSource::Slot::Role::final;
}

static Signature completed(const Plan& plan, Signature signature) {
  try {
    signature.dims = completeDims(plan.variant, plan.rules, signature.dims);
  } catch (const std::invalid_argument& error) {
    throw ArgumentError(error.what());
  }
  return signature;
}

/// Of a GPU of the kernel's architecture; kernels that run on all have no segments.
static int multiprocessorsOf(const KernelSource& source) {
  return source.segmenting.chunk ? knownDevice(source.arch).multiprocessors : 1;
}

Binder::Binder(const Plan& plan, const KernelSource& source, const Signature& given,
               int multiprocessors)
    : variant(plan.variant), entry(source.entry), threads(source.threads),
      sharedBytes(unsigned(source.sharedBytes)), tiles(source.tilesPerHead),
      headsOfBlock(source.headsOfBlock),
      multiprocessors(multiprocessors ? multiprocessors : multiprocessorsOf(source)),
      segmenting(source.segmenting), copies(source.copies), tokenBytes(source.tokenBytes),
      replay(source.replay) {
  const Signature signature = completed(plan, given);
  for (const KernelSource::Slot& slot : source.tensors) {
    expected.push_back(binding::slotOf(plan, slot, signature));
    expected.back().apart =
        std::count(source.sharedStates.begin(), source.sharedStates.end(), slot.operand);
  }
  for (int operand : source.constants)
    constants.push_back(plan.operands.at(operand).name);
  if (!source.constants.empty())
    defaults = lathe::defaultConstants(plan, signature, source);
  std::size_t bytes = binding::bytes(expected.size(), constants.size(), copies.size());
  if (bytes > LaunchPlan::maxArgumentBytes)
    throw ArgumentError("kernel " + entry + " takes " + std::to_string(expected.size()) +
                        " tensors and " + std::to_string(constants.size()) + " constants, " +
                        std::to_string(bytes) + " bytes; a launch passes at most " +
                        std::to_string(LaunchPlan::maxArgumentBytes));
}

LaunchPlan Binder::bind(std::span<const TensorView> given, std::span<const float> values,
                        const IndexLists& lists) const {
  if (given.size() != expected.size())
    throw ArgumentError(std::to_string(given.size()) + " tensors were given; kernel " + entry +
                        " takes " + std::to_string(expected.size()) + ": " +
                        binding::names(expected));
  if (values.empty())
    values = defaults;
  if (values.size() != constants.size())
    throw ArgumentError(std::to_string(values.size()) + " constants were given; kernel " + entry +
                        " takes " + std::to_string(constants.size()));
  binding::Sizes sizes = binding::check(expected, given, lists);
  for (std::size_t i = 0; headsOfBlock > 1 && i < 2; ++i)
    binding::checkShared(expected[copies[i].tensor], given[copies[i].tensor], sizes, headsOfBlock);

  LaunchPlan plan;
  plan.grid = binding::gridOf(sizes, tiles) / headsOfBlock;
  const int segments = segmentsFor(segmenting, plan.grid, sizes.usualTokens(), multiprocessors);
  plan.workspaceBytes = workspaceBytes(segmenting, plan.grid, segments);
  if (tokenBytes > 0) {
    const std::int64_t rows = sizes.isPacked ? sizes.tokens : sizes.batch * sizes.tokens;
    plan.workspaceBytes = workspaceHead + tokenBytes * std::size_t(sizes.heads * tiles * rows);
  }
  if (replay.span > 0) {
    // Of every sequence one more than it has in full; see templates/kernels/general.cuh.
    const std::int64_t spans = sizes.isPacked ? sizes.tokens / replay.span + sizes.batch
                                              : sizes.batch * (sizes.tokens / replay.span + 1);
    plan.workspaceBytes = workspaceHead +
                          replay.checkpointBytes * std::size_t(sizes.heads * tiles * spans) +
                          replay.roomBytes * plan.grid;
  }
  plan.grid *= unsigned(segments);
  plan.threads = threads;
  plan.sharedBytes = sharedBytes;
  plan.device = sizes.device;
  plan.argumentBytes = binding::bytes(expected.size(), constants.size(), copies.size());
  std::byte* at = plan.argument.data();
  std::memset(at, 0, plan.argumentBytes);
  KernelSizes call = binding::pack(sizes, lists);
  call.segments = segments;
  std::memcpy(at, &call, sizeof(call));
  at += sizeof(call);
  for (std::size_t i = 0; i < expected.size(); ++i, at += sizeof(KernelTensor)) {
    KernelTensor tensor = binding::pack(expected[i], given[i], sizes.heads);
    std::memcpy(at, &tensor, sizeof(tensor));
  }
  if (!values.empty())
    std::memcpy(at, values.data(), values.size_bytes());
  at += std::max<std::size_t>(1, values.size()) * sizeof(float);
  std::int32_t mapped = 0;
  std::byte* map = plan.argument.data() + plan.argumentBytes - copies.size() * sizeof(TensorMap);
  for (std::size_t i = 0; i < copies.size(); ++i, map += sizeof(TensorMap)) {
    std::size_t tensor = copies[i].tensor;
    if (std::optional<TensorMap> made = makeMap(copies[i], expected[tensor], given[tensor])) {
      std::memcpy(map, &*made, sizeof(*made));
      mapped |= 1 << i;
    }
  }
  if (!copies.empty())
    std::memcpy(at, &mapped, sizeof(mapped));
  return plan;
}

std::vector<TensorView> Binder::arguments(const Call& call) const {
  return binding::arguments(variant, expected, call);
}

std::vector<float> Binder::constantsOf(const Call& call) const {
  std::vector<float> values = defaults;
  for (const auto& [name, value] : call.constants) {
    auto found = std::find(constants.begin(), constants.end(), name);
    if (found == constants.end())
      throw ArgumentError("there is no constant '" + name + "'; " + variant +
                          (constants.empty() ? " has none" : " has " + binding::join(constants)));
    values[found - constants.begin()] = value;
  }
  return values;
}

LaunchPlan Binder::bind(const Call& call) const {
  LaunchPlan plan = bind(arguments(call), constantsOf(call), call.lists);
  if (call.workspace.data)
    plan.useWorkspace(call.workspace);
  return plan;
}

void checkWorkspace(const Workspace& workspace, std::size_t bytes, int device) {
  auto fail = [](const std::string& rule) { throw ArgumentError("the workspace " + rule); };
  if (!workspace.data)
    fail("is null; this launch needs " + std::to_string(bytes) + " bytes");
  if (workspace.bytes < bytes)
    fail("has " + std::to_string(workspace.bytes) + " bytes; this launch needs " +
         std::to_string(bytes));
  if (reinterpret_cast<std::uintptr_t>(workspace.data) % workspaceAlignment)
    fail("is not aligned to " + std::to_string(workspaceAlignment) + " bytes");
  if (workspace.device != device)
    fail("is on GPU " + std::to_string(workspace.device) + "; the tensors are on GPU " +
         std::to_string(device));
}

void LaunchPlan::useWorkspace(const Workspace& workspace) {
  if (workspaceBytes == 0)
    return;
  checkWorkspace(workspace, workspaceBytes, device);
  std::memcpy(argument.data() + offsetof(KernelSizes, workspace),
              static_cast<const void*>(&workspace.data), sizeof(workspace.data));
  hasWorkspace = true;
}

LaunchPlan bind(const Plan& plan, const KernelSource& source, const Signature& signature,
                const Call& call) {
  return Binder(plan, source, signature).bind(call);
}

}  // namespace lathe
