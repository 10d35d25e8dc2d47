#include "compiler/cuda/ScanEmitter.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

static int roundUp(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

ScanEmitter::ScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile,
                         const ScanPart& part)
    : plan(plan), signature(signature), tile(tile), part(part), form(*plan.scan), analysis(plan),
      axes{form.keyDim, form.valueDim},
      program(
          plan, signature, analysis, axes, [this](int operand) { return tensorOf(operand); },
          [this](int operand) { return constantIndex(kernel, operand); }),
      paddedK(roundUp(signature.dims.at(form.keyDim), 16)),
      channelGate(form.decay == DecayKind::vector), gateOfKey(form.decaySide == Side::key) {
  kernel.entry = entryName(plan, Family::scan);
  kernel.tensors = tensorSlots(plan, part);
  kernel.constants = constantOperands(plan);
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      outputs.push_back(i);
  states = form.states();
}

void ScanEmitter::check() const {
  auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("scan of '" + plan.variant + "' with tile " + toString(tile) +
                                ": " + why);
  };
  bool power = tile.chunk == 16 || tile.chunk == 32 || tile.chunk == 64;
  if (!power)
    refuse("chunk must be 16, 32 or 64");
  if (channelGate && tile.chunk != 16)
    refuse("a decay of every channel takes chunks of 16");
  if (tile.block < tile.chunk || tile.block % tile.chunk || tile.block > 128)
    refuse("block must be a multiple of chunk up to 128");
  if (tile.blockV < 16 || tile.blockV % 16 || tile.blockV > 256)
    refuse("blockV must be a multiple of 16 up to 256");
  if (tile.stages < 1 || tile.stages > 4)
    refuse("stages must be 1 to 4");
  for (int output : outputs)
    if (!axes.isValue(plan.operands[output].dims))
      refuse("output '" + plan.operands[output].name + "' is not over " + axes.value);
}

std::string ScanEmitter::tileExpression(bool ofKey, DType dtype, int offset, bool isStaged) const {
  std::string place = "shared + " + std::to_string(offset);
  if (isStaged)
    place += " + stage * kStageBytes";
  return std::string("reinterpret_cast<") + cudaType(dtype) + "*>(" + place + ")";
}

std::string ScanEmitter::rowExpression(int operand) const {
  DType dtype = signature.dtypes[operand];
  bool ofKey = isKey(operand);
  if (plan.operands[operand].kind == Operand::Kind::param)
    return "args.tensors[" + std::to_string(tensorOf(operand)) + "].at<const " + cudaType(dtype) +
           ">(0, head) + " + firstColumn(ofKey);
  return tileExpression(ofKey, dtype, staged.at(operand), true) + " + token * " +
         std::to_string(pitch(ofKey, dtype));
}

std::set<int> ScanEmitter::finishNodes(int output) const {
  auto stop = [&](int n) {
    return form.reads(n) || analysis.scalar(n) ||
           (plan.nodes[n].dims.empty() && !analysis.stateDependent(n));
  };
  return analysis.closure({plan.operands[output].value}, stop);
}

/// An identity keeps the loaded tile; a map writes over the tile of an input that nobody else reads
/// as it was loaded.
void ScanEmitter::assignRoles() {
  query = {form.query, true, signature.compute};
  key = {form.key, true, signature.compute};
  value = {form.value, false, signature.compute};
  gate = {channelGate ? form.logDecay : -1, gateOfKey, DType::f32};
  std::set<int> taken;
  std::vector<Role*> roles = {&query, &key, &value};
  if (channelGate)
    roles.push_back(&gate);
  for (int output : outputs)
    for (int node : finishNodes(output))
      if (plan.nodes[node].kind == Node::Kind::operand && !plan.nodes[node].dims.empty())
        taken.insert(plan.nodes[node].operand);
  for (Role* role : roles) {
    const Node& node = plan.nodes[role->node];
    bool identity = node.kind == Node::Kind::operand && !node.dims.empty() &&
                    plan.operands[node.operand].kind == Operand::Kind::input &&
                    (role == &gate || signature.dtypes[node.operand] == signature.compute);
    // Queries and keys take their factors in place; gates become those of what is read.
    bool changedLater = channelGate && role->ofKey == gateOfKey && (role != &gate || !gateOfKey);
    if (identity && !(taken.count(node.operand) && changedLater)) {
      role->source = node.operand;
      if (role == &gate)
        role->dtype = signature.dtypes[node.operand];
      taken.insert(node.operand);
    } else {
      role->prepared = true;
    }
  }
  for (Role* role : roles) {
    if (!role->prepared)
      continue;
    for (int node : analysis.closure({role->node}, [](int) { return false; })) {
      const Node& n = plan.nodes[node];
      bool fits = n.kind == Node::Kind::operand &&
                  plan.operands[n.operand].kind == Operand::Kind::input &&
                  (role->ofKey ? axes.isKey(n.dims) : axes.isValue(n.dims)) &&
                  signature.dtypes[n.operand] == role->dtype && !taken.count(n.operand);
      if (fits && role->source < 0) {
        role->source = n.operand;
        taken.insert(n.operand);
      }
    }
  }
}

void ScanEmitter::layOut() {
  program.rowElements = [this](const std::vector<std::string>& dims) {
    return dims[0] == axes.key ? dim(axes.key) : std::min(tile.blockV, dim(axes.value));
  };
  program.firstElement = [this](const std::vector<std::string>& dims) {
    return firstColumn(dims[0] == axes.key);
  };
  program.rowPointer = [this](int operand) { return rowExpression(operand); };

  for (int output : outputs)
    for (int node : finishNodes(output))
      if (plan.nodes[node].dims.empty() && !analysis.stateDependent(node))
        program.keepScalar(node);
  if (form.decay == DecayKind::scalar)
    program.keepScalar(form.logDecay);

  std::vector<Role*> roles = {&query, &key, &value};
  if (channelGate)
    roles.push_back(&gate);
  // Where a role's tile lies is known once the inputs to load are; those depend on which roles are
  // prepared.
  for (Role* role : roles)
    if (role->prepared)
      program.storeVector(role->node, {role->ofKey ? axes.key : axes.value}, "",
                          cudaType(role->dtype), 0, 0, "");
  std::set<int> loaded = program.vectorInputs();
  for (Role* role : roles)
    if (role->source >= 0)
      loaded.insert(role->source);
  for (int output : outputs)
    for (int node : finishNodes(output)) {
      const Node& n = plan.nodes[node];
      if (n.kind == Node::Kind::operand && !n.dims.empty() &&
          plan.operands[n.operand].kind == Operand::Kind::input)
        loaded.insert(n.operand);
    }
  for (int operand : loaded) {
    const Operand& o = plan.operands[operand];
    if (!axes.isKey(o.dims) && !axes.isValue(o.dims))
      throw std::invalid_argument("scan of '" + plan.variant + "': input '" + o.name +
                                  "' is neither over " + axes.key + " nor over " + axes.value);
    DType dtype = signature.dtypes[operand];
    staged[operand] = stage.take(size_t(tile.block) * pitch(isKey(operand), dtype) * bytes(dtype));
  }
  stageBytes = int(stage.size());
  rest.take(size_t(stageBytes) * tile.stages);
  for (Role* role : roles)
    role->offset =
        role->source >= 0
            ? staged[role->source]
            : rest.take(size_t(tile.block) * pitch(role->ofKey, role->dtype) * bytes(role->dtype));
  scoreOffset = rest.take(size_t(tile.block) * (tile.chunk + 16 / bytes(signature.compute)) *
                          bytes(signature.compute));
  slotOffset = rest.take(sizeof(float) * tile.block * std::max(1, program.slotCount()));
  cumulativeOffset =
      rest.take(form.decay == DecayKind::scalar ? sizeof(float) * 4 * tile.block : 0);
  totalOffset = rest.take(form.decay == DecayKind::none ? 0
                          : channelGate ? sizeof(float) * tile.block / 16 * padded(gateOfKey)
                                        : sizeof(float) * tile.block / tile.chunk);
  ownOffset =
      rest.take(channelGate && !gateOfKey ? size_t(tile.block) * pitch(false, signature.compute) *
                                                bytes(signature.compute)
                                          : 0);
  normaliserOffset =
      rest.take(form.normaliser >= 0 ? sizeof(float) * tile.block * (tile.blockV / 16) : 0);

  program.clearStores();
  for (Role* role : roles)
    if (role->prepared)
      program.storeVector(
          role->node, {role->ofKey ? axes.key : axes.value},
          tileExpression(role->ofKey, role->dtype, role->offset, role->source >= 0) +
              " + token * " + std::to_string(pitch(role->ofKey, role->dtype)),
          cudaType(role->dtype), program.rowElements({role->ofKey ? axes.key : axes.value}),
          padded(role->ofKey), firstColumn(role->ofKey));
}

}  // namespace lathe::cuda
