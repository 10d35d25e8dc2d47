// The scan family's form for sm_90a: what of a plan it takes, and the Variant for
// templates/kernels/scan_sm90.cuh.
#include "compiler/cuda/Families.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {
namespace {

constexpr int chunkTokens = 64, panelColumns = 64;

/// A loaded tensor times scalars of the token.
struct Product {
  int operand = -1;
  std::vector<int> factors;  ///< Nodes.
};

class HopperScanEmitter {
public:
  HopperScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile);
  KernelSource emit();

private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw std::invalid_argument("scan of '" + plan.variant + "' with tile " + toString(tile) +
                                ": " + why);
  }
  int dim(const std::string& name) const { return signature.dims.at(name); }
  bool factor(int node) const {
    return plan.nodes[node].dims.empty() && analysis.scalar(node) && !analysis.stateDependent(node);
  }
  void check() const;
  Product productOf(int node, const char* role) const;
  int gateOperand() const;
  std::set<int> finishNodes() const;
  void keepScalars();
  void layOut();
  std::string times(const std::vector<int>& factors) const;
  void writeConstants(Text& text) const;
  void writeFactors(Text& text) const;
  void writeOperands(Text& text) const;
  void writeFinish(Text& text) const;

  const Plan& plan;
  const Signature& signature;
  const Tile& tile;
  const ScanForm& form;
  Analysis analysis;
  Axes axes;
  KernelSource kernel;
  Program program;
  Product query, key, value;
  const bool channels;  ///< A decay of every key channel: scan_sm90_channels.cuh.
  int gate = -1;        ///< Its operand.
  int output = -1;
  int scoreBuffers = 0, gateOffset = 0, partOffset = 0, decayOffset = 0;
  int stageBytes = 0, scoreOffset = 0, outputOffset = 0, factorOffset = 0, slotOffset = 0,
      barrierOffset = 0;
};

HopperScanEmitter::HopperScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile)
    : plan(plan), signature(signature), tile(tile), form(*plan.scan), analysis(plan),
      axes{form.keyDim, form.valueDim},
      program(
          plan, signature, analysis, axes,
          [this](int operand) { return tensorIndex(kernel.tensors, operand); },
          [this](int operand) { return constantIndex(kernel, operand); }),
      channels(form.decay == DecayKind::vector) {
  kernel.entry = entryName(plan, Family::scan);
  kernel.arch = name(Form::sm90a);
  kernel.tensors = tensorSlots(plan);
  kernel.constants = constantOperands(plan);
}

void HopperScanEmitter::check() const {
  if (signature.compute == DType::f32)
    refuse("the form for sm_90a computes in bf16 or f16, not f32");
  if (form.normaliser >= 0)
    refuse("the form for sm_90a takes no normaliser");
  if (form.readsBefore && !channels)
    refuse("the form for sm_90a reads the state after the update");
  if (tile.chunk != chunkTokens || tile.block != chunkTokens)
    refuse("chunk and block must be 64 in the form for sm_90a");
  if (tile.blockV != panelColumns && tile.blockV != 2 * panelColumns)
    refuse("blockV must be 64 or 128 in the form for sm_90a");
  if (tile.stages < 2 || tile.stages > 4)
    refuse("stages must be 2 to 4 in the form for sm_90a");
  if (dim(axes.key) % 16)
    refuse(axes.key + " must be a multiple of 16 in the form for sm_90a");
  if (dim(axes.key) > 2 * panelColumns && tile.blockV > panelColumns)
    refuse("blockV must be 64 in the form for sm_90a where " + axes.key + " is over 128");
  if (dim(axes.value) % 8)
    refuse(axes.value + " must be a multiple of 8 in the form for sm_90a");
}

Product HopperScanEmitter::productOf(int index, const char* role) const {
  const Node& node = plan.nodes[index];
  if (node.kind == Node::Kind::operand && node.dims.size() == 1 &&
      plan.operands[node.operand].kind == Operand::Kind::input &&
      signature.dtypes[node.operand] == signature.compute)
    return {node.operand, {}};
  if (node.kind == Node::Kind::map && node.op == Op::multiply)
    for (int i : {0, 1})
      if (factor(node.args[i])) {
        Product product = productOf(node.args[1 - i], role);
        product.factors.push_back(node.args[i]);
        return product;
      }
  refuse(std::string("in the form for sm_90a the ") + role +
         " must be an input of the type of the tensor cores, or that times scalars of the token");
}

/// The input that the gates of every channel are.
int HopperScanEmitter::gateOperand() const {
  const Node& node = plan.nodes[form.logDecay];
  if (node.kind != Node::Kind::operand || !axes.isKey(node.dims) ||
      plan.operands[node.operand].kind != Operand::Kind::input ||
      signature.dtypes[node.operand] == DType::f32)
    refuse("in the form for sm_90a the decay of every channel must be an input in bf16 or f16");
  return node.operand;
}

std::set<int> HopperScanEmitter::finishNodes() const {
  return analysis.closure({plan.operands[output].value},
                          [&](int n) { return n == form.read || factor(n); });
}

/// What the output is made of beside the read: scalars of the token, and the row of values.
void HopperScanEmitter::keepScalars() {
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output) {
      if (output >= 0)
        refuse("the form for sm_90a writes one output");
      output = i;
    }
  if (!axes.isValue(plan.operands[output].dims) || signature.dtypes[output] == DType::f32)
    refuse("in the form for sm_90a the output is over " + axes.value + ", in bf16 or f16");
  for (int index : finishNodes()) {
    const Node& node = plan.nodes[index];
    if (index == form.read)
      continue;
    if (factor(index))
      program.keepScalar(index);
    else if (node.kind == Node::Kind::operand ? node.operand != value.operand
                                              : node.kind != Node::Kind::map)
      refuse("in the form for sm_90a the output is made of the read, the values and scalars of the "
             "token");
  }
  for (const Product* product : {&query, &key, &value})
    for (int node : product->factors)
      program.keepScalar(node);
  if (channels && program.slotCount() > 0)
    refuse("the form for sm_90a takes no scalars of the token beside a decay of every channel");
  if (form.decay != DecayKind::scalar)
    return;
  if (!factor(form.logDecay))
    refuse("in the form for sm_90a the decay is made of scalars of the token");
  program.keepScalar(form.logDecay);
}

void HopperScanEmitter::layOut() {
  constexpr int panel = chunkTokens * panelColumns * 2, period = 1024, parts = chunkTokens / 16;
  const int K = dim(axes.key);
  constexpr int factorBytes = (4 * chunkTokens + 4) * int(sizeof(float));  // Factors
  int groups = tile.blockV / panelColumns;
  SharedLayout room;
  int keyPanels = (dim(axes.key) + panelColumns - 1) / panelColumns;
  gateOffset = panel * (2 * keyPanels + groups);
  stageBytes = gateOffset + (channels ? panel * keyPanels : 0);
  scoreBuffers = channels ? 1 : 2;
  room.take(std::size_t(stageBytes) * tile.stages);
  scoreOffset = room.take(std::size_t(scoreBuffers) * panel);
  outputOffset = room.take(std::size_t(groups) * panel);
  if (channels) {
    factorOffset = room.take(parts * K / 2 * 6 * sizeof(float));  // ChannelFactors
    partOffset = room.take(parts * K * (sizeof(float) + 2));
    decayOffset = room.take((scoreBuffers + 1) * K * sizeof(float));
  } else {
    factorOffset = room.take(std::size_t(factorBytes) * tile.stages);
  }
  slotOffset = room.take(sizeof(float) * tile.stages * chunkTokens *
                         std::max(channels ? 0 : 1, program.slotCount()));
  barrierOffset = room.take(sizeof(std::uint64_t) * (2 * tile.stages + 2 * scoreBuffers));
  // The driver aligns shared memory to less than the period of the swizzle.
  kernel.sharedBytes = room.size() + period - 128;
  kernel.threads = 128 * (2 + groups);
  kernel.tilesPerHead = (dim(axes.value) + tile.blockV - 1) / tile.blockV;
}

std::string HopperScanEmitter::times(const std::vector<int>& factors) const {
  std::string text;
  for (int node : factors)
    text += " * " + program.scalarExpression(node);
  return text;
}

void HopperScanEmitter::writeConstants(Text& text) const {
  auto constant = [&](const char* name, auto number) {
    text.line("  static constexpr int ", name, " = ", number, ";");
  };
  text.line("  using Element = ", cudaType(signature.compute), ";");
  constant("kK", dim(axes.key));
  constant("kV", dim(axes.value));
  constant("kBlockV", tile.blockV);
  constant("kTiles", kernel.tilesPerHead);
  constant("kChunk", chunkTokens);
  constant("kBlock", chunkTokens);
  constant("kStages", tile.stages);
  constant("kStageBytes", stageBytes);
  constant("kScoreOffset", scoreOffset);
  constant("kOutputOffset", outputOffset);
  constant("kFactorOffset", factorOffset);
  constant("kSlotOffset", slotOffset);
  constant("kSlots", program.slotCount());
  constant("kBarrierOffset", barrierOffset);
  // A multiprocessor's 65536 registers, less to those who copy than to those who hold the state.
  constant("kLoadRegisters", channels ? 40 : 48);
  if (channels) {
    constant("kScoreRegisters", tile.blockV > panelColumns ? 136 : 216);
    constant("kStateRegisters", tile.blockV > panelColumns ? 168 : 232);
    constant("kScoreBuffers", scoreBuffers);
    constant("kGateOffset", gateOffset);
    constant("kPartOffset", partOffset);
    constant("kDecayOffset", decayOffset);
    text.line("  using Gate = ", cudaType(signature.dtypes[gate]), ";");
    text.line("  static constexpr bool kReadsBefore = ", form.readsBefore ? "true" : "false", ";");
  } else {
    constant("kScoreRegisters", 96);
    constant("kStateRegisters", tile.blockV > panelColumns         ? 184
                                : dim(axes.key) > 2 * panelColumns ? 240
                                                                   : 208);
  }
  static const char* decays[] = {"none", "scalar", "vector"};
  text.line("  static constexpr Decay kDecay = Decay::", decays[int(form.decay)], ";");
  text.line("  static constexpr bool kKeyFactor = ",
            key.factors.empty() && value.factors.empty() ? "false" : "true", ";");
}

void HopperScanEmitter::writeFactors(Text& text) const {
  auto function = [&](const char* name, const std::string& expression) {
    text.line("  static __device__ __forceinline__ float ", name,
              "(const Args& args, const float* slots) { return ", expression, "; }");
  };
  function("logDecay", form.decay == DecayKind::scalar ? program.scalarExpression(form.logDecay)
                                                       : std::string("0.0f"));
  function("keyFactor", "1.0f" + times(key.factors) + times(value.factors));
}

void HopperScanEmitter::writeOperands(Text& text) const {
  auto tensor = [&](const char* name, const Product& product) {
    text.line("  static __device__ __forceinline__ const Tensor& ", name,
              "(const Args& args) { return args.tensors[",
              tensorIndex(kernel.tensors, product.operand), "]; }");
  };
  tensor("queryTensor", query);
  tensor("keyTensor", key);
  tensor("valueTensor", value);
  if (channels)
    tensor("gateTensor", {gate, {}});
}

void HopperScanEmitter::writeFinish(Text& text) const {
  text.line(
      "  static __device__ __forceinline__ float finish(const Args& args, const float* slots, "
      "const char* value, float read) {");
  auto argument = [&](int node) {
    return factor(node) ? program.scalarExpression(node) : "n" + std::to_string(node);
  };
  for (int index : finishNodes()) {
    const Node& node = plan.nodes[index];
    if (factor(index))
      continue;
    text.line("    float n", index, " = ",
              index == form.read ? "read" + times(query.factors)
              : node.kind == Node::Kind::operand
                  ? "toFloat(*reinterpret_cast<const Element*>(value))"
                  : mapCode(node, argument),
              ";");
  }
  text.line("    return ", argument(plan.operands[output].value), ";");
  text.line("  }");
}

KernelSource HopperScanEmitter::emit() {
  check();
  query = productOf(form.query, "query");
  key = productOf(form.key, "key");
  value = productOf(form.value, "value");
  if (channels)
    gate = gateOperand();
  keepScalars();
  layOut();
  Text variant;
  writeNumberedTypes(variant, "StateType", signature, {form.state});
  writeNumberedTypes(variant, "OutputType", signature, {output});
  variant.line("struct Variant {");
  writeConstants(variant);
  program.write(variant);
  writeFactors(variant);
  writeOperands(variant);
  writeStateAccess(variant, kernel.tensors, {form.state},
                   plan.operands[form.state].dims[0] == axes.key);
  writeOutputAccess(variant, kernel.tensors, {output});
  writeFinish(variant);
  variant.line("};");
  std::vector<std::string> templates = {
      "templates/device/barrier.cuh", "templates/device/wgmma.cuh", "templates/device/panels.cuh",
      "templates/kernels/decay.cuh", "templates/kernels/scan_sm90.cuh"};
  if (channels)
    templates.insert(templates.end(),
                     {"templates/device/packed.cuh", "templates/kernels/scan_sm90_channels.cuh"});
  kernel.text = assemble(plan, kernel, templates, variant,
                         std::string("lathe::Hopper") + (channels ? "Channel" : "") +
                             "Scan<lathe::Variant>{args, lathe::alignShared<1024>(shared)}.run();",
                         1);
  return kernel;
}

}  // namespace

KernelSource emitHopperScan(const Plan& plan, const Signature& signature, const Tile& tile) {
  return HopperScanEmitter(plan, signature, tile).emit();
}

}  // namespace lathe::cuda
