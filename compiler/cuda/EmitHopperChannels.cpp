// The form for sm_90a of a scan with a decay of every channel: what scan_sm90_channels.cuh and
// scan_sm90_values.cuh of templates/kernels need beside what the form needs of every scan.
//
// Query, key, value and gate have a tile each in a stage. Those that are no inputs of the right
// type are made by the row program: in the place of an input that nobody else takes the place of,
// where there is one. Other inputs have tiles of their own.
#include "compiler/cuda/HopperScanEmitter.h"

#include <algorithm>

namespace lathe::cuda {

static constexpr int parts = hopperChunk / 16;  ///< Of a chunk, a warp each.
static constexpr int outputTokens = 16;         ///< That a warp writes at a time.
static constexpr int mostInputs = 8;            ///< Two for each warp that copies.

/// What a role is made of: an input as it is, or a map, whose place is found later.
Product HopperScanEmitter::channelProduct(int index, bool ofKey, DType dtype) {
  const Node& node = plan.nodes[index];
  const std::vector<std::string> dims = {ofKey ? axes.key : axes.value};
  if (node.kind == Node::Kind::operand && node.dims == dims &&
      plan.operands[node.operand].kind == Operand::Kind::input &&
      signature.dtypes[node.operand] == dtype && !placed.count(node.operand)) {
    placed[node.operand] = 0;
    return {node.operand, {}};
  }
  return {-1, {}, index};
}

/// Gives every input that is loaded its tile.
void HopperScanEmitter::placeChannelInputs() {
  const std::pair<Product*, int> roles[] = {{&query, 0},
                                            {&key, keyTile()},
                                            {&value, 2 * keyTile()},
                                            {&gate, 2 * keyTile() + valueTile()}};
  auto isOfKey = [&](const Product* role) { return role == &gate ? ofKeys : role != &value; };
  for (auto [role, offset] : roles)
    if (role->operand >= 0)
      placed[role->operand] = offset;
  for (auto [role, offset] : roles) {
    if (role->map < 0)
      continue;
    for (int index : analysis.closure({role->map}, [](int) { return false; })) {
      const Node& node = plan.nodes[index];
      if (role->operand < 0 && node.kind == Node::Kind::operand &&
          plan.operands[node.operand].kind == Operand::Kind::input &&
          node.dims == std::vector<std::string>{isOfKey(role) ? axes.key : axes.value} &&
          bytes(signature.dtypes[node.operand]) == 2 && !placed.count(node.operand)) {
        role->operand = node.operand;
        placed[node.operand] = offset;
      }
    }
  }
  const int stage = 2 * keyTile() + valueTile() + gateTile();
  std::set<int> loaded = program.vectorInputs();
  if (outputGate >= 0)
    loaded.insert(outputGate);
  for (int operand : loaded) {
    const Operand& input = plan.operands[operand];
    if (!axes.isKey(input.dims) && !axes.isValue(input.dims))
      refuse("in the form for sm_90a an input is over " + axes.key + " or over " + axes.value +
             ", which '" + input.name + "' is not");
    if (placed.count(operand))
      continue;
    placed[operand] = stage + extraBytes;
    extraBytes +=
        (axes.isKey(input.dims) ? keyTile() : valueTile()) * bytes(signature.dtypes[operand]) / 2;
  }
  if (int(placed.size()) > mostInputs)
    refuse("the form for sm_90a with a decay of every channel takes at most " +
           std::to_string(mostInputs) + " inputs over " + axes.key + " or " + axes.value);
}

void HopperScanEmitter::mapChannels() {
  const Node& decay = plan.nodes[form.logDecay];
  if (decay.kind == Node::Kind::operand && signature.dtypes[decay.operand] != DType::f32)
    gateType = signature.dtypes[decay.operand];
  // A gate that is an input stays what it is, before a key that is made of it takes its place.
  gate = channelProduct(form.logDecay, ofKeys, gateType);
  // Scalars of the token stay out of the queries, as they can join the reads.
  std::vector<int> factors;
  int plain = form.query;
  auto peel = [&] {
    const Node& node = plan.nodes[plain];
    if (node.kind == Node::Kind::map && node.op == Op::multiply)
      for (int i : {0, 1})
        if (factor(node.args[i])) {
          factors.push_back(node.args[i]);
          plain = node.args[1 - i];
          return true;
        }
    return false;
  };
  while (peel())
    ;
  query = channelProduct(plain, true, signature.compute);
  query.factors = factors;
  key = channelProduct(form.key, true, signature.compute);
  value = channelProduct(form.value, false, signature.compute);
  describeRows();
  program.rowPointer = [this](int operand) {
    const Operand& of = plan.operands[operand];
    const std::string type = cudaType(signature.dtypes[operand]);
    if (of.kind == Operand::Kind::param)
      return "args.tensors[" + std::to_string(tensorOf(operand)) + "].at<const " + type +
             ">(0, head) + " + program.firstElement(of.dims);
    return "PanelRow<" + type + ", kChunk>{shared + stage * kStageBytes + " +
           std::to_string(placed.at(operand)) + ", token}";
  };
  auto store = [&](const Product& role, bool ofKey, int offset, DType dtype) {
    if (role.map < 0)
      return;
    const std::vector<std::string> dims = {ofKey ? axes.key : axes.value};
    const int length = program.rowElements(dims);
    program.storeVector(role.map, dims,
                        std::string("PanelRow<") + cudaType(dtype) +
                            ", kChunk>{shared + stage * kStageBytes + " + std::to_string(offset) +
                            ", token}",
                        cudaType(dtype), length, length, program.firstElement(dims));
  };
  store(query, true, 0, signature.compute);
  store(key, true, keyTile(), signature.compute);
  store(value, false, 2 * keyTile(), signature.compute);
  store(gate, ofKeys, 2 * keyTile() + valueTile(), gateType);
  keepScalars();
  placeChannelInputs();
  for (int index :
       analysis.closure({form.key, form.value, form.logDecay}, [](int) { return false; }))
    if (plan.nodes[index].kind == Node::Kind::operand)
      swept.insert(plan.nodes[index].operand);
  for (auto [operand, offset] : placed)
    if (signature.dtypes[operand] != DType::f32)
      kernel.copies.push_back({tensorOf(operand), panelColumns, hopperChunk});
  if (ofKeys)
    return;
  outputMap = int(kernel.copies.size());
  kernel.copies.push_back({tensorOf(output), panelColumns, hopperChunk});
}

void HopperScanEmitter::layOutChannels(SharedLayout& room) {
  const std::size_t channels = std::size_t(keyPanels) * panelColumns;
  constexpr std::size_t factorBytes = 20;  // WideChunks::Factors
  constexpr int outputRow = 32;
  if (!ofKeys) {
    outputOffset = room.take(std::size_t(valueTile()));
    return;
  }
  outputOffset = room.take(std::size_t(tile.blockV / 16) * outputTokens * outputRow);
  factorOffset = room.take(parts * (channels / 2) * factorBytes);
  partOffset = room.take(parts * channels * (sizeof(float) + 2));
  decayOffset = room.take(5 * channels * sizeof(float) + std::size_t(2) * keyPanels * sizeof(int));
}

std::vector<std::string> HopperScanEmitter::channelTemplates() const {
  std::vector<std::string> files = {"templates/device/packed.cuh",
                                    "templates/kernels/input_tiles.cuh"};
  const std::vector<std::string> own =
      ofKeys ? std::vector<std::string>{"channel_tiles", "scan_sm90_sums", "scan_sm90_wide",
                                        "scan_sm90_sweep", "scan_sm90_channels"}
             : std::vector<std::string>{"scan_sm90_scores", "scan_sm90_output", "scan_sm90_strong",
                                        "scan_sm90_values"};
  for (const std::string& file : own)
    files.push_back("templates/kernels/" + file + ".cuh");
  return files;
}

void HopperScanEmitter::writeChannelInputs(Text& text) const {
  text.line("template <int I> struct InputTile;");
  int index = 0, map = 0;
  for (auto [operand, offset] : placed) {
    const DType dtype = signature.dtypes[operand];
    text.line("template <> struct InputTile<", index++, "> {  // ", plan.operands[operand].name);
    text.line("  using Type = ", cudaType(dtype), ";");
    text.line("  static constexpr int kTensor = ", tensorOf(operand), ", kOffset = ", offset,
              ", kMap = ", dtype == DType::f32 ? -1 : map++, ";");
    text.line("  static constexpr bool kOfKey = ",
              axes.isKey(plan.operands[operand].dims) ? "true" : "false",
              ", kSwept = ", swept.count(operand) ? "true" : "false",
              ", kWritten = ", operand == part.written ? "true" : "false", ";");
    text.line("};");
  }
}

void HopperScanEmitter::writeChannelConstants(Text& text) const {
  auto constant = [&](const char* name, int number) {
    text.line("  static constexpr int ", name, " = ", number, ";");
  };
  auto flag = [&](const char* name, bool set) {
    text.line("  static constexpr bool ", name, " = ", set ? "true" : "false", ";");
  };
  const int groups = tile.blockV / panelColumns;
  if (ofKeys) {
    // Up to five warpgroups: one copies, one decays each panel, one or two hold the state.
    const bool five = keyPanels + groups == 4, narrow = groups == 1 && !five;
    constant("kLoadRegisters", narrow ? 48 : 32);
    constant("kScoreRegisters", five ? 80 : narrow ? 128 : 120);
    constant("kStateRegisters", groups == 1 ? 208 : five ? 144 : 176);
  } else {
    const bool maps = program.hasRowProgram();
    constant("kLoadRegisters", groups == 1 ? 56 : maps ? 32 : 40);
    constant("kScoreRegisters", groups == 1 ? 128 : maps ? 80 : 88);
    constant("kStateRegisters", groups == 1 ? 240 : maps ? 200 : 192);
  }
  constant("kOutputTokens", outputTokens);
  constant("kMapGroups", ofKeys ? keyPanels : 1);
  constant("kGateOffset", gateOffset);
  constant("kPartOffset", partOffset);
  constant("kDecayOffset", decayOffset);
  constant("kInputs", int(placed.size()));
  text.line("  template <int I> using Input = InputTile<I>;");
  text.line("  using Gate = ", cudaType(gateType), ";");
  flag("kReadsBefore", form.readsBefore);
  flag("kTokenScalars", program.hasTokenScalars());
  const std::set<int> finish = finishNodes();
  flag("kFinishesValues", std::any_of(finish.begin(), finish.end(), [&](int index) {
         return index != form.read && index != form.normaliserRead && !factor(index) &&
                plan.nodes[index].kind == Node::Kind::operand &&
                plan.nodes[index].operand != outputGate;
       }));
}

}  // namespace lathe::cuda
