// The scan family's form for sm_90a: what of a plan it takes, and the Variant for
// templates/kernels/scan_sm90.cuh.
#include "compiler/cuda/HopperScanEmitter.h"
#include "compiler/cuda/Segments.h"

#include <algorithm>

namespace lathe::cuda {

HopperScanEmitter::HopperScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile,
                                     const ScanPart& part)
    : plan(plan), signature(signature), tile(tile), part(part), form(*plan.scan), analysis(plan),
      axes{form.keyDim, form.valueDim},
      program(
          plan, signature, analysis, axes, [this](int operand) { return tensorOf(operand); },
          [this](int operand) { return constantIndex(kernel, operand); }),
      heads(tile.blockV == 2 * panelColumns && signature.dims.at(form.valueDim) == panelColumns
                ? 2
                : 1),
      channels(form.decay == DecayKind::vector), ofKeys(channels && form.decaySide == Side::key),
      together(tile.chunk > hopperChunk ? 2 : 1),
      keyPanels((signature.dims.at(form.keyDim) + panelColumns - 1) / panelColumns) {
  kernel.entry = entryName(plan, Family::scan);
  kernel.arch = name(Form::sm90a);
  kernel.tensors = tensorSlots(plan, part);
  kernel.constants = constantOperands(plan);
  states = form.states();
}

void HopperScanEmitter::check() const {
  if (signature.compute == DType::f32)
    refuse("the form for sm_90a computes in bf16 or f16, not f32");
  if (form.readsBefore && !channels)
    refuse("the form for sm_90a reads the state after the update");
  if (tile.block != hopperChunk)
    refuse("block must be 64 in the form for sm_90a");
  if (tile.chunk != hopperChunk && tile.chunk != 2 * hopperChunk)
    refuse("chunk must be 64 or 128 in the form for sm_90a");
  if (together > 1 && form.isSum())
    refuse("chunk must be 64 in the form for sm_90a of a sum over all tokens");
  if (part.isPair && !ofKeys)
    refuse("the form for sm_90a takes scans from both ends with a decay of every channel of " +
           axes.key + " each");
  // Wider blocks of two scans spill.
  if (part.isPair && (tile.blockV > panelColumns || keyPanels > 2))
    refuse("in the form for sm_90a of scans from both ends blockV must be 64, and " + axes.key +
           " at most 128");
  if (heads > 1 && form.isSum())
    refuse("a block of two heads takes no sum over all tokens");
  if (together > 1 && channels)
    refuse("chunk must be 64 in the form for sm_90a with a decay of every channel");
  if (together > 1 && form.reverse)
    refuse("chunk must be 64 in the form for sm_90a of a state in reverse");
  if (together > 1 && dim(axes.key) > 2 * panelColumns)
    refuse("chunk must be 64 in the form for sm_90a where " + axes.key + " is over 128");
  if (tile.blockV != panelColumns && tile.blockV != 2 * panelColumns)
    refuse("blockV must be 64 or 128 in the form for sm_90a");
  if (tile.segments < 0 || tile.segments > maxSegments)
    refuse("segments must be 0 to " + std::to_string(maxSegments));
  if (tile.stages < 2 || tile.stages > 4)
    refuse("stages must be 2 to 4 in the form for sm_90a");
  if (dim(axes.key) % 16)
    refuse(axes.key + " must be a multiple of 16 in the form for sm_90a");
  if (dim(axes.key) > 2 * panelColumns && tile.blockV > panelColumns)
    refuse("blockV must be 64 in the form for sm_90a where " + axes.key + " is over 128");
  if (channels && dim(axes.key) > 3 * panelColumns)
    refuse(axes.key + " must be at most 192 in the form for sm_90a with a decay of every channel");
  if (dim(axes.value) % 8)
    refuse(axes.value + " must be a multiple of 8 in the form for sm_90a");
  if (heads > 1 && !signature.pairedHeads)
    refuse("a block of two heads takes heads that share queries and keys in pairs");
  if (heads > 1 && channels)
    refuse("a block of two heads takes no decay of every channel");
  if (heads > 1 && form.normaliser >= 0)
    refuse("a block of two heads takes no normaliser");
}

/// The one input over `dim` of the type of the tensor cores that a map is made of, or -1.
int HopperScanEmitter::sourceOf(int map, const std::string& dim) const {
  int source = -1;
  for (int index : analysis.closure({map}, [](int) { return false; })) {
    const Node& node = plan.nodes[index];
    if (node.kind != Node::Kind::operand || node.dims.empty() ||
        plan.operands[node.operand].kind != Operand::Kind::input || node.operand == source)
      continue;
    bool fits = source < 0 && node.dims == std::vector<std::string>{dim} &&
                signature.dtypes[node.operand] == signature.compute;
    if (!fits)
      return -1;
    source = node.operand;
  }
  return source;
}

Product HopperScanEmitter::productOf(int index, const std::string& dim, const char* role) const {
  const Node& node = plan.nodes[index];
  if (node.kind == Node::Kind::operand && node.dims.size() == 1 &&
      plan.operands[node.operand].kind == Operand::Kind::input &&
      signature.dtypes[node.operand] == signature.compute)
    return {node.operand, {}};
  if (node.kind == Node::Kind::map && node.op == Op::multiply)
    for (int i : {0, 1})
      if (factor(node.args[i])) {
        Product product = productOf(node.args[1 - i], dim, role);
        product.factors.push_back(node.args[i]);
        return product;
      }
  if (int source = sourceOf(index, dim); source >= 0)
    return {source, {}, index};
  refuse(std::string("in the form for sm_90a the ") + role + " must be made of one input over " +
         dim + " of the type of the tensor cores and of scalars of the token");
}

/// The tile of a loaded tensor in a stage.
std::string HopperScanEmitter::tileOf(const Product& product) const {
  int keyTile = hopperChunk * panelColumns * 2 * keyPanels;
  int offset = &product == &query ? 0 : &product == &key ? keyTile : 2 * keyTile;
  return std::string("PanelRow<") + cudaType(signature.compute) +
         ", kChunk>{shared + stage * kStageBytes + " + std::to_string(offset) + ", token}";
}

void HopperScanEmitter::describeRows() {
  // A lane reads and writes whole pieces.
  program.rowLanes = 2;
  while (program.rowLanes * 8 < std::max(dim(axes.key), std::min(tile.blockV, dim(axes.value))))
    program.rowLanes *= 2;
  program.slotBase = "shared + kSlotOffset + stage * (kSlots * kBlock * 4)";
  program.rowElements = [this](const std::vector<std::string>& dims) {
    return dims[0] == axes.key ? dim(axes.key) : std::min(tile.blockV, dim(axes.value));
  };
  program.firstElement = [this](const std::vector<std::string>& dims) {
    return std::string(dims[0] == axes.key ? "0" : "tile * kBlockV");
  };
}

/// What is mapped takes the place of the input that it is made of.
void HopperScanEmitter::mapRows() {
  describeRows();
  program.rowPointer = [this](int operand) {
    if (plan.operands[operand].kind == Operand::Kind::param)
      return "args.tensors[" + std::to_string(tensorOf(operand)) + "].at<const " +
             cudaType(signature.dtypes[operand]) + ">(0, head) + " +
             program.firstElement(plan.operands[operand].dims);
    // Of an input that is both, the tile of the keys is the one that a sweep copies.
    for (const Product* product : {&key, &value, &query})
      if (product->map >= 0 && product->operand == operand)
        return tileOf(*product);
    throw std::logic_error("a row program of an input that has no tile");
  };
  for (const Product* product : {&query, &key, &value}) {
    if (product->map < 0)
      continue;
    if (heads > 1)
      refuse("a block of two heads takes queries, keys and values as they are");
    storeRows(*product);
  }
}

void HopperScanEmitter::storeRows(const Product& product) {
  if (product.map < 0)
    return;
  const std::vector<std::string> dims = {&product == &value ? axes.value : axes.key};
  int length = program.rowElements(dims);
  program.storeVector(product.map, dims, tileOf(product), cudaType(signature.compute), length,
                      length, program.firstElement(dims));
}

std::set<int> HopperScanEmitter::finishNodes() const {
  std::vector<int> roots = {plan.operands[output].value};
  for (int sum : sums)
    for (int term : termsOf(sum))
      roots.push_back(term);
  return analysis.closure(roots, [&](int n) { return form.reads(n) || factor(n); });
}

/// Whether the node is the values as they lie in shared memory.
bool HopperScanEmitter::isValue(int node) const {
  return plan.nodes[node].operand == value.operand && value.map < 0;
}

bool HopperScanEmitter::valuesInOutput() const {
  const std::set<int> nodes = finishNodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](int n) {
    return !factor(n) && plan.nodes[n].kind == Node::Kind::operand && isValue(n);
  });
}

/// An input over V that only the output is made of.
void HopperScanEmitter::takeGate(int node) {
  const Node& input = plan.nodes[node];
  if ((channels && input.operand != part.written) ||
      plan.operands[input.operand].kind != Operand::Kind::input || !axes.isValue(input.dims) ||
      signature.dtypes[input.operand] != signature.compute ||
      (outputGate >= 0 && outputGate != input.operand))
    refuse(channels ? "in the form for sm_90a with a decay of every channel the output is made of "
                      "the read, the values and scalars of the token"
                    : "in the form for sm_90a the output is made of the read, the values, one more "
                      "input over " +
                          axes.value + " of the type of the tensor cores and scalars of the token");
  outputGate = input.operand;
}

/// What the output is made of beside the read: scalars of the token, and rows over V.
void HopperScanEmitter::keepScalars() {
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output) {
      if (plan.operands[i].dims.empty()) {
        sums.push_back(i);
        continue;
      }
      if (output >= 0)
        refuse("the form for sm_90a writes one output of rows");
      output = i;
    }
  checkSums();
  if (!axes.isValue(plan.operands[output].dims) || signature.dtypes[output] == DType::f32)
    refuse("in the form for sm_90a the output is over " + axes.value + ", in bf16 or f16");
  for (int index : finishNodes()) {
    const Node& node = plan.nodes[index];
    if (form.reads(index))
      continue;
    if (factor(index))
      program.keepScalar(index);
    else if (node.kind == Node::Kind::operand && !isValue(index))
      takeGate(index);
    else if (node.kind != Node::Kind::operand && node.kind != Node::Kind::map)
      refuse("in the form for sm_90a the output is made of the read by maps of single elements");
  }
  for (const Product* product : {&query, &key, &value})
    for (int node : product->factors)
      program.keepScalar(node);
  if (form.decay != DecayKind::scalar)
    return;
  if (!factor(form.logDecay))
    refuse("in the form for sm_90a the decay is made of scalars of the token");
  program.keepScalar(form.logDecay);
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
  constant("kHeads", heads);
  constant("kChunk", hopperChunk);
  constant("kBlock", hopperChunk);
  constant("kStages", tile.stages);
  constant("kTogether", together);
  constant("kScoreBuffers", scoreBuffers);
  constant("kStageBytes", stageBytes);
  constant("kScoreOffset", scoreOffset);
  constant("kOutputOffset", outputOffset);
  constant("kFactorOffset", factorOffset);
  constant("kSlotOffset", slotOffset);
  constant("kSlots", program.slotCount());
  constant("kRowLanes", program.rowLanes);
  constant("kBarrierOffset", barrierOffset);
  constant("kOutputMap", outputMap);
  constant("kNormaliserOffset", normaliserOffset);
  constant("kSums", sums.size());
  constant("kSumOffset", sumOffset);
  if (channels)
    writeChannelConstants(text);
  else
    writeRegisters(text);
  text.line("  static constexpr Decay kDecay = Decay::", decayName(form), ";");
  auto flag = [&](const char* name, bool set) {
    text.line("  static constexpr bool ", name, " = ", set ? "true" : "false", ";");
  };
  flag("kKeyFactor", !key.factors.empty() || !value.factors.empty());
  flag("kRowFactor", hasRowFactor());
  flag("kReverse", form.reverse);
  flag("kRowProgram", program.hasRowProgram());
  flag("kNormaliser", form.normaliser >= 0);
  flag("kSum", form.isSum());
  constant("kOpposite", form.normaliser >= 0 ? 2 : 1);
  flag("kValuesInOutput", valuesInOutput());
  flag("kPair", part.isPair);
  flag("kMirrored", part.isReverse);
  flag("kOutputGate", outputGate >= 0);
  constant("kOutputGateOffset", channels && outputGate >= 0 ? placed.at(outputGate) : gateOffset);
}

void HopperScanEmitter::writeFactors(Text& text) const {
  auto function = [&](const char* name, const std::string& expression) {
    text.line("  static __device__ __forceinline__ float ", name,
              "(const Args& args, const float* slots) { return ", expression, "; }");
  };
  function("logDecay", form.decay == DecayKind::scalar ? program.scalarExpression(form.logDecay)
                                                       : std::string("0.0f"));
  function("keyFactor", "1.0f" + times(key.factors) + times(value.factors));
  if (hasRowFactor())
    function("rowFactor", "1.0f" + times(query.factors));
}

void HopperScanEmitter::writeOperands(Text& text) const {
  text.line("  static __device__ __forceinline__ const Tensor& copied(const Args& args, int "
            "operand) {");
  text.line("    return args.tensors[operand == 0 ? ", kernel.copies[0].tensor,
            " : operand == 1 ? ", kernel.copies[1].tensor, " : operand == 2 ? ",
            kernel.copies[2].tensor, " : ", kernel.copies.back().tensor, "];");
  text.line("  }");
}

ScanSource HopperScanEmitter::emit() {
  check();
  if (channels) {
    mapChannels();
  } else {
    query = productOf(form.query, axes.key, "query");
    key = productOf(form.key, axes.key, "key");
    value = productOf(form.value, axes.value, "value");
    if (form.normaliser >= 0 && !value.factors.empty())
      refuse("the form for sm_90a takes no normaliser beside values that are scaled");
    for (const Product* product : {&query, &key, &value})
      kernel.copies.push_back({tensorOf(product->operand), panelColumns, hopperChunk});
    mapRows();
    keepScalars();
    for (int operand : {output, outputGate})
      if (operand >= 0)
        kernel.copies.push_back({tensorOf(operand), panelColumns, hopperChunk});
  }
  layOut();
  Text variant;
  if (channels)
    writeChannelInputs(variant);
  writeNumberedTypes(variant, "StateType", signature, states);
  std::vector<int> outputs = {output};
  outputs.insert(outputs.end(), sums.begin(), sums.end());
  writeNumberedTypes(variant, "OutputType", signature, outputs);
  variant.line("struct Variant {");
  writeConstants(variant);
  writeProgram(variant);
  if (!channels) {
    writeFactors(variant);
    writeOperands(variant);
  }
  writeStateAccess(variant, kernel.tensors, states, plan.operands[form.state].dims[0] == axes.key);
  writeOutputAccess(variant, kernel.tensors, outputs);
  writeFinish(variant);
  variant.line("};");
  std::vector<std::string> templates = {"templates/device/barrier.cuh",
                                        "templates/device/counter.cuh",
                                        "templates/device/wgmma.cuh",
                                        "templates/device/panels.cuh",
                                        "templates/kernels/decay.cuh",
                                        "templates/kernels/segments.cuh",
                                        "templates/kernels/scan_sm90_normaliser.cuh",
                                        "templates/kernels/scan_sm90.cuh"};
  std::vector<std::string> own = {
      "templates/kernels/scan_sm90_load.cuh", "templates/kernels/scan_sm90_output.cuh",
      "templates/kernels/scan_sm90_state.cuh", "templates/kernels/scan_sm90_scores.cuh"};
  own.push_back(together > 1 ? "templates/kernels/scan_sm90_double.cuh"
                             : "templates/kernels/scan_sm90_walk.cuh");
  if (!sums.empty())
    own.push_back("templates/kernels/scan_sm90_rows.cuh");
  if (channels)
    own = channelTemplates();
  if (form.isSum()) {
    own.push_back("templates/kernels/sum_initial.cuh");
    own.push_back("templates/kernels/scan_sm90_sum.cuh");
  }
  templates.insert(templates.end(), own.begin(), own.end());
  return {std::move(kernel), templates, std::move(variant),
          ofKeys         ? "HopperChannelScan"
          : channels     ? "HopperValueScan"
          : form.isSum() ? "HopperSum"
                         : "HopperScan",
          "args, lathe::alignShared<1024>(shared)"};
}

ScanSource emitHopperScan(const Plan& plan, const Signature& signature, const Tile& tile,
                          const ScanPart& part) {
  return HopperScanEmitter(plan, signature, tile, part).emit();
}

}  // namespace lathe::cuda
