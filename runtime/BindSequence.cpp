#include "runtime/BindSequence.h"

#include "compiler/cuda/Dot.h"
#include "compiler/cuda/Segments.h"
#include "compiler/cuda/Sum.h"
#include "runtime/Binding.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace lathe::binding {

using Slot = Binder::Slot;
using Over = SumStep::Over;
using Prepared = std::vector<std::unique_ptr<PreparedKernel>>;

namespace {

constexpr std::string_view initialPrefix = "initial ", finalPrefix = "final ";
/// Where temporaries are bound to while there is no workspace: launches then only say its size.
constexpr std::uintptr_t nowhere = workspaceHead;

std::size_t aligned(std::size_t bytes) {
  return (bytes + workspaceAlignment - 1) / workspaceAlignment * workspaceAlignment;
}

std::int64_t countOf(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape)
    count *= size;
  return count;
}

/// What stands at a slot of a step.
std::string nameAt(const KernelStep& step, const Slot& slot) {
  const auto other = step.names.find(slot.name);
  return other == step.names.end() ? slot.name : other->second;
}

bool isWritten(const KernelStep& step, const Slot& slot) {
  return slot.written() &&
         std::find(step.reads.begin(), step.reads.end(), slot.name) == step.reads.end();
}

}  // namespace

const Temporary& temporaryOf(const KernelSequence& sequence, const std::string& name) {
  for (const Temporary& temporary : sequence.temporaries)
    if (temporary.name == name)
      return temporary;
  throw std::invalid_argument("the sequence of " + sequence.variant + " has no temporary '" + name +
                              "'");
}

int lanesOf(Over over) { return over == Over::heads ? 1 : 32; }

SequenceCall::SequenceCall(const KernelSequence& sequence, const Prepared& kernels,
                           const Call& call)
    : sequence(sequence), call(call) {
  refuseUnknown(kernels);
  findSizes(kernels);
  findWanted(kernels);
  placeTemporaries();
}

const TensorView* SequenceCall::given(const std::string& name) const {
  const bool isInitial = name.starts_with(initialPrefix), isFinal = name.starts_with(finalPrefix);
  const auto& from = isInitial ? call.initial : isFinal ? call.final : call.tensors;
  const std::size_t prefix = isInitial ? initialPrefix.size() : isFinal ? finalPrefix.size() : 0;
  const auto found = from.find(name.substr(prefix));
  return found == from.end() || !found->second.data ? nullptr : &found->second;
}

/// What a step finds at a name.
std::optional<TensorView> SequenceCall::find(const std::string& name) const {
  if (const auto own = temporaries.find(name); own != temporaries.end())
    return own->second;
  if (const TensorView* tensor = given(name))
    return *tensor;
  // What has no elements may have no data; the binder of the step knows.
  const auto empty = call.tensors.find(name);
  return empty == call.tensors.end() ? std::nullopt : std::optional(empty->second);
}

void SequenceCall::refuseUnknown(const Prepared& kernels) const {
  std::set<std::string> known, constants;
  std::vector<std::string> order;
  auto know = [&](const std::string& name) {
    if (!name.empty() && known.insert(name).second)
      order.push_back(name);
  };
  auto kernel = kernels.begin();
  for (const auto& step : sequence.steps)
    if (const auto* own = std::get_if<KernelStep>(&step)) {
      const Binder& binder = (*kernel++)->binder();
      for (const Slot& slot : binder.slots())
        know(nameAt(*own, slot));
      constants.insert(binder.constantNames().begin(), binder.constantNames().end());
    } else if (const auto* sum = std::get_if<SumStep>(&step)) {
      know(sum->to);
    }
  auto refuse = [&](const auto& tensors, std::string_view prefix) {
    for (const auto& [name, tensor] : tensors)
      if (!known.count(std::string(prefix) + name))
        throw ArgumentError("there is no argument '" + std::string(prefix) + name +
                            "'; the backward pass of " + sequence.variant + " takes " +
                            join(order));
  };
  refuse(call.tensors, "");
  refuse(call.initial, initialPrefix);
  refuse(call.final, finalPrefix);
  for (const auto& [name, value] : call.constants)
    if (!constants.count(name))
      throw ArgumentError(
          "there is no constant '" + name + "'; " + sequence.variant +
          (constants.empty() ? " has none" : " has " + join({constants.begin(), constants.end()})));
}

/// From what every call passes: inputs that are no temporaries, and params.
void SequenceCall::findSizes(const Prepared& kernels) {
  std::set<std::string> own;
  for (const Temporary& temporary : sequence.temporaries)
    own.insert(temporary.name);
  auto kernel = kernels.begin();
  for (const auto& step : sequence.steps) {
    const auto* computed = std::get_if<KernelStep>(&step);
    if (!computed)
      continue;
    for (const Slot& slot : (*kernel++)->binder().slots()) {
      const std::string name = nameAt(*computed, slot);
      if (slot.written() || own.count(name))
        continue;
      const auto found = call.tensors.find(name);
      if (found == call.tensors.end()) {
        if (slot.kind != Operand::Kind::state)
          throw ArgumentError("argument '" + name + "' is missing; the backward pass of " +
                              sequence.variant + " reads it");
        continue;
      }
      const std::vector<std::int64_t>& shape = found->second.shape;
      if (shape.size() != slot.leading + slot.dims.size())
        continue;  // The binder says why that is wrong.
      gpu = found->second.device;
      heads = std::max(heads, shape[slot.leading - 1]);
      if (slot.leading == 3) {
        batch = shape[0];
        tokens = shape[1];
      }
    }
  }
  sequences = packedSequences(call.lists).value_or(batch);
}

std::vector<std::int64_t> SequenceCall::shapeOf(const Temporary& temporary) const {
  std::vector<std::int64_t> shape;
  if (temporary.shape == Temporary::Shape::states)
    shape = {sequences, heads};
  else
    shape = {batch, tokens, heads};
  for (const std::string& dim : temporary.dims)
    shape.push_back(sequence.dims.at(dim));
  return shape;
}

bool SequenceCall::isWanted(const KernelStep& step, const Binder& binder) const {
  const auto isNeeded = [&](const std::string& name) { return wanted.count(name) || given(name); };
  if (!step.beside.empty() && std::none_of(step.beside.begin(), step.beside.end(), isNeeded))
    return false;
  if (std::any_of(step.without.begin(), step.without.end(), isNeeded))
    return false;
  return std::any_of(binder.slots().begin(), binder.slots().end(), [&](const Slot& slot) {
    const std::string name = nameAt(step, slot);
    return isWritten(step, slot) && !name.empty() && isNeeded(name);
  });
}

/// From the last step to the first: what those read that write what is wanted.
void SequenceCall::findWanted(const Prepared& kernels) {
  auto kernel = kernels.end();
  for (auto step = sequence.steps.rbegin(); step != sequence.steps.rend(); ++step) {
    if (const auto* sum = std::get_if<SumStep>(&*step)) {
      if (given(sum->to))
        wanted.insert(sum->from);
    } else if (const auto* dot = std::get_if<DotStep>(&*step)) {
      if (!given(dot->with))
        wanted.erase(dot->to);
      else if (wanted.count(dot->to))
        wanted.insert(dot->from);
    } else {
      const auto& own = std::get<KernelStep>(*step);
      const Binder& binder = (*--kernel)->binder();
      if (!isWanted(own, binder))
        continue;
      running.insert(&own);
      for (const Slot& slot : binder.slots())
        if (!isWritten(own, slot))
          wanted.insert(nameAt(own, slot));
        else if (!slot.mayBeAbsent())
          placed.insert(nameAt(own, slot));
    }
  }
  placed.insert(wanted.begin(), wanted.end());
}

/// At the end of the workspace, as its steps have what they need of it at its beginning.
void SequenceCall::placeTemporaries() {
  struct Place {
    const Temporary* temporary;
    TensorView view;
    std::size_t at;
  };
  std::vector<Place> places;
  for (const Temporary& temporary : sequence.temporaries) {
    if (!placed.count(temporary.name))
      continue;
    const bool isZero = temporary.shape == Temporary::Shape::zero;
    std::vector<std::int64_t> shape = shapeOf(temporary);
    const TensorView* tensor = given(temporary.name);
    if (tensor && (isZero || tensor->shape == shape))
      continue;
    TensorView view = contiguous(nullptr, temporary.dtype, std::move(shape), gpu);
    std::int64_t count = countOf(view.shape);
    if (isZero) {
      std::fill_n(view.strides.begin(), 3, 0);
      count = std::max<std::int64_t>(1, countOf({view.shape.begin() + 3, view.shape.end()}));
    }
    places.push_back({&temporary, view, temporaryBytes});
    temporaryBytes += aligned(std::size_t(count) * bytes(temporary.dtype));
  }
  auto base = nowhere;
  if (call.workspace.data && call.workspace.bytes >= temporaryBytes)
    base = reinterpret_cast<std::uintptr_t>(call.workspace.data) +
           (call.workspace.bytes - temporaryBytes) / workspaceAlignment * workspaceAlignment;
  for (Place& place : places) {
    place.view.data = reinterpret_cast<void*>(base + place.at);
    temporaries[place.temporary->name] = place.view;
    if (place.temporary->shape == Temporary::Shape::zero) {
      const std::int64_t count = countOf({place.view.shape.begin() + 3, place.view.shape.end()});
      zeros.push_back({place.view.data, std::size_t(count) * bytes(place.temporary->dtype)});
    }
  }
}

std::optional<LaunchPlan> SequenceCall::bind(const KernelStep& step, const Binder& binder) {
  if (!running.count(&step))
    return std::nullopt;
  std::vector<TensorView> arguments;
  for (const Slot& slot : binder.slots()) {
    const std::string name = nameAt(step, slot);
    const std::optional<TensorView> found = name.empty() ? std::nullopt : find(name);
    if (!found && !slot.mayBeAbsent())
      throw ArgumentError("argument '" + name + "' is missing; the backward pass of " +
                          sequence.variant + " reads it");
    arguments.push_back(found.value_or(TensorView{}));
  }
  Call own;
  for (const std::string& name : binder.constantNames())
    if (const auto value = call.constants.find(name); value != call.constants.end())
      own.constants.insert(*value);
  LaunchPlan plan = binder.bind(arguments, binder.constantsOf(own), call.lists);
  stepBytes = std::max(stepBytes, plan.workspaceBytes);
  if (call.workspace.data)
    plan.useWorkspace(call.workspace);
  return plan;
}

void SequenceCall::checkSum(const SumStep& step, const Temporary& from,
                            const TensorView& to) const {
  if (to.dtype != from.dtype)
    fail(step.to, std::string("is ") + name(to.dtype) + "; it must be " + name(from.dtype));
  if (to.strides.size() != to.shape.size())
    fail(step.to, "has " + text(std::int64_t(to.strides.size())) + " strides for " +
                      text(std::int64_t(to.shape.size())) + " axes");
  std::vector<std::int64_t> expected = shapeOf(from);
  if (step.over == Over::heads && to.shape.size() == expected.size()) {
    const std::int64_t own = to.shape[2];
    if (own > 0 && heads % own == 0)
      expected[2] = own;
    // A gradient is shaped as that to which it belongs.
    if (const auto original = call.tensors.find(step.to.substr(2));
        original != call.tensors.end() && original->second.shape.size() == expected.size())
      expected[2] = original->second.shape[2];
  } else if (step.over == Over::sequences) {
    expected.erase(expected.begin());
  } else if (step.over == Over::all) {
    expected.clear();
  }
  if (to.shape != expected)
    fail(step.to, "has shape " + text(to.shape) + "; it must have " + text(expected));
  std::int64_t dense = 1;
  const std::size_t first = step.over == Over::heads ? 3 : 0;
  for (std::size_t axis = to.shape.size(); axis-- > first; dense *= to.shape[axis])
    if (to.shape[axis] > 1 && to.strides[axis] != dense)
      fail(step.to, "has stride " + text(to.strides[axis]) + " on axis " +
                        text(std::int64_t(axis)) + "; it must be " + text(dense));
}

std::optional<LaunchPlan> SequenceCall::bind(const SumStep& step) {
  const TensorView* to = given(step.to);
  const auto from = temporaries.find(step.from);
  if (!to || from == temporaries.end())
    return std::nullopt;
  checkSum(step, temporaryOf(sequence, step.from), *to);
  const std::vector<std::int64_t>& shape = from->second.shape;
  const std::size_t leading = step.over == Over::heads ? 3 : 2;
  const std::int64_t width = countOf({shape.begin() + long(leading), shape.end()});
  SumSizes sizes;
  sizes.from = from->second.data;
  sizes.to = to->data;
  if (step.over == Over::heads) {
    const std::int64_t own = to->shape[2], group = own > 0 ? heads / own : 1;
    sizes.sizes = {batch, tokens, own, width};
    sizes.fromStrides = {tokens * heads * width, heads * width, group * width, 1};
    sizes.toStrides = {to->strides[0], to->strides[1], to->strides[2], 1};
    sizes.count = group;
    sizes.step = width;
    if (const IndexView& starts = call.lists.cuSeqlens; starts.isGiven()) {
      sizes.starts = starts.data;
      sizes.sequences = std::int32_t(sequences);
      sizes.wide = starts.bits == 64;
    }
  } else if (step.over == Over::sequences) {
    sizes.sizes = {1, 1, heads, width};
    sizes.fromStrides = sizes.toStrides = {0, 0, width, 1};
    sizes.count = sequences;
    sizes.step = heads * width;
  } else {
    sizes.count = sequences * heads;
    sizes.step = 1;
  }
  LaunchPlan plan;
  const std::int64_t count = sizes.sizes[0] * sizes.sizes[1] * sizes.sizes[2] * sizes.sizes[3];
  plan.threads = 256;
  plan.grid = unsigned((count * lanesOf(step.over) + plan.threads - 1) / plan.threads);
  plan.device = gpu;
  plan.argumentBytes = sizeof(sizes);
  std::memcpy(plan.argument.data(), &sizes, sizeof(sizes));
  return plan;
}

std::optional<LaunchPlan> SequenceCall::bind(const DotStep& step) {
  const std::optional<TensorView> from = find(step.from);
  const auto to = temporaries.find(step.to);
  const TensorView* with = given(step.with);
  if (!with || !from || to == temporaries.end())
    return std::nullopt;
  DotSizes sizes;
  sizes.a = from->data;
  sizes.b = with->data;
  sizes.to = to->second.data;
  sizes.heads = heads;
  sizes.rows = from->shape[2];
  sizes.columns = from->shape[3];
  std::copy_n(from->strides.begin(), 4, sizes.aStrides.begin());
  std::copy_n(with->strides.begin(), 4, sizes.bStrides.begin());
  LaunchPlan plan;
  plan.threads = 512;
  plan.sharedBytes = plan.threads / 32 * sizeof(float);
  plan.grid = unsigned(sequences * heads);
  plan.device = gpu;
  plan.argumentBytes = sizeof(sizes);
  std::memcpy(plan.argument.data(), &sizes, sizeof(sizes));
  return plan;
}

void SequenceCall::finish(SequenceLaunch& launch) {
  launch.zeros = zeros;
  if (temporaryBytes + stepBytes == 0)
    return;
  launch.workspaceBytes = aligned(std::max(stepBytes, workspaceHead)) + aligned(temporaryBytes);
  if (!call.workspace.data)
    return;
  checkWorkspace(call.workspace, launch.workspaceBytes, gpu);
  launch.hasWorkspace = true;
}

}  // namespace lathe::binding
