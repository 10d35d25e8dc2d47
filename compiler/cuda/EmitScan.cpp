// The Variant of the scan family: where every tile lies in shared memory, how it is filled, and the
// maps around the scan.
#include "compiler/cuda/Families.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {
namespace {

int roundUp(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

/// One of query, key, value and the gate of every channel: a tile of `rows` by `padded` elements.
struct Role {
  int node = -1;
  bool ofKey = true;
  DType dtype;
  int source =
      -1;  ///< The input whose loaded tile this is, or takes the place of; -1: a tile of its own.
  bool prepared = false;
  int offset = 0;
};

class ScanEmitter {
public:
  ScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile);
  KernelSource emit();

private:
  int dim(const std::string& name) const { return signature.dims.at(name); }
  int padded(bool ofKey) const { return ofKey ? paddedK : tile.blockV; }
  int pitch(bool ofKey, DType dtype) const { return padded(ofKey) + 16 / bytes(dtype); }
  bool isKey(int operand) const { return axes.isKey(plan.operands[operand].dims); }
  std::string tileExpression(bool ofKey, DType dtype, int offset, bool staged) const;
  std::string rowExpression(int operand) const;
  std::string firstColumn(bool ofKey) const { return ofKey ? "0" : "tile * kBlockV"; }
  void check() const;
  void assignRoles();
  void layOut();
  void writeTypes(Text& text) const;
  void writeConstants(Text& text) const;
  void writeTiles(Text& text) const;
  void writeCopies(Text& text) const;
  void writeStates(Text& text) const;
  void writeFinish(Text& text) const;
  std::set<int> finishNodes(int output) const;

  const Plan& plan;
  const Signature& signature;
  const Tile& tile;
  const ScanForm& form;
  Analysis analysis;
  Axes axes;
  KernelSource kernel;
  Program program;
  int paddedK;
  bool channelGate;
  Role query, key, value, gate;
  std::map<int, int> staged;  ///< Offset in a stage of each loaded input.
  std::vector<int> outputs, states;
  SharedLayout stage, rest;
  int stageBytes = 0, scoreOffset = 0, slotOffset = 0, cumulativeOffset = 0, totalOffset = 0,
      normaliserOffset = 0;
};

ScanEmitter::ScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile)
    : plan(plan), signature(signature), tile(tile), form(*plan.scan), analysis(plan),
      axes{form.keyDim, form.valueDim},
      program(
          plan, signature, analysis, axes,
          [this](int operand) { return tensorIndex(kernel.tensors, operand); },
          [this](int operand) {
            auto found = std::find(kernel.constants.begin(), kernel.constants.end(), operand);
            return int(found - kernel.constants.begin());
          }),
      paddedK(roundUp(signature.dims.at(form.keyDim), 16)),
      channelGate(form.decay == DecayKind::vector) {
  kernel.entry = entryName(plan, Family::scan);
  kernel.tensors = tensorSlots(plan);
  kernel.constants = constantOperands(plan);
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      outputs.push_back(i);
  states = {form.state};
  if (form.normaliser >= 0)
    states.push_back(form.normaliser);
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
    return "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand)) + "].at<const " +
           cudaType(dtype) + ">(0, head) + " + firstColumn(ofKey);
  return tileExpression(ofKey, dtype, staged.at(operand), true) + " + token * " +
         std::to_string(pitch(ofKey, dtype));
}

std::set<int> ScanEmitter::finishNodes(int output) const {
  auto stop = [&](int n) {
    return n == form.read || n == form.normaliserRead || analysis.scalar(n) ||
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
  gate = {channelGate ? form.logDecay : -1, true, DType::f32};
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
    bool changedLater = channelGate && role->ofKey && role != &gate;
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
                          : channelGate                 ? sizeof(float) * tile.block / 16 * paddedK
                                                        : sizeof(float) * tile.block / tile.chunk);
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

void ScanEmitter::writeConstants(Text& text) const {
  static const char* decays[] = {"none", "scalar", "vector"};
  auto constant = [&](const char* name, auto value) {
    text.line("  static constexpr int ", name, " = ", value, ";");
  };
  text.line("  using Element = ", cudaType(signature.compute), ";");
  text.line("  using Gate = ", cudaType(channelGate ? gate.dtype : DType::f32), ";");
  constant("kK", dim(axes.key));
  constant("kPaddedK", paddedK);
  constant("kPitchK", pitch(true, signature.compute));
  constant("kPitchGate", pitch(true, gate.dtype));
  constant("kV", dim(axes.value));
  constant("kBlockV", tile.blockV);
  constant("kPitchV", pitch(false, signature.compute));
  constant("kPitchP", tile.chunk + 16 / bytes(signature.compute));
  constant("kTiles", kernel.tilesPerHead);
  constant("kChunk", tile.chunk);
  constant("kBlock", tile.block);
  constant("kStages", tile.stages);
  constant("kWarps", tile.blockV / 16);
  constant("kThreads", kernel.threads);
  constant("kStageBytes", stageBytes);
  constant("kScoreOffset", scoreOffset);
  constant("kSlotOffset", slotOffset);
  constant("kCumulativeOffset", cumulativeOffset);
  constant("kTotalOffset", totalOffset);
  constant("kNormaliserOffset", normaliserOffset);
  constant("kOutputs", outputs.size());
  constant("kGateSlot", form.decay == DecayKind::scalar ? program.slot(form.logDecay) : 0);
  constant("kNormaliserLength",
           form.normaliser >= 0 ? (paddedK + 2 * tile.blockV - 1) / (2 * tile.blockV) : 1);
  text.line("  static constexpr Decay kDecay = Decay::", decays[int(form.decay)], ";");
  text.line("  static constexpr bool kNormaliser = ", form.normaliser >= 0 ? "true" : "false", ";");
  text.line("  static constexpr bool kReadsBefore = ", form.readsBefore ? "true" : "false", ";");
  text.line("  static constexpr bool kRowProgram = ", program.hasRowProgram() ? "true" : "false",
            ";");
}

void ScanEmitter::writeTiles(Text& text) const {
  auto one = [&](const char* name, const char* type, const Role& role) {
    text.line("  static __device__ __forceinline__ ", type, "* ", name,
              "(char* shared, int stage) {");
    text.line("    return ",
              role.node < 0 ? "nullptr"
                            : tileExpression(role.ofKey, role.dtype, role.offset, role.source >= 0),
              ";");
    text.line("  }");
  };
  one("query", "Element", query);
  one("key", "Element", key);
  one("value", "Element", value);
  one("gate", "Gate", gate);
}

void ScanEmitter::writeCopies(Text& text) const {
  text.line("  struct Copies {");
  Text members, start, issue;
  for (auto [operand, offset] : staged) {
    const char* type = cudaType(signature.dtypes[operand]);
    bool ofKey = isKey(operand);
    int tensor = tensorIndex(kernel.tensors, operand);
    std::string x = std::to_string(operand);
    members.line("    const ", type, "* source", x, ";  // ", plan.operands[operand].name);
    members.line("    int64 stride", x, ";");
    members.line("    int columns", x, ", alignment", x, ";");
    start.line("      source", x, " = args.tensors[", tensor, "].at<const ", type,
               ">(batch, head) + ", firstColumn(ofKey), ";");
    start.line("      stride", x, " = args.tensors[", tensor, "].token;");
    start.line("      columns", x, " = ", dim(plan.operands[operand].dims[0]), " - ",
               firstColumn(ofKey), ";");
    start.line("      alignment", x, " = rowAlignment<", type, ">(args.tensors[", tensor, "]);");
    issue.line("      copyTile<", type, ", kBlock, ", padded(ofKey), ", ",
               pitch(ofKey, signature.dtypes[operand]), ", kThreads>(reinterpret_cast<", type,
               "*>(shared + stage * kStageBytes + ", offset, "), source", x,
               " + int64(firstToken) * stride", x, ", stride", x, ", rows, columns", x,
               ", alignment", x, ", thread);");
  }
  text.append(members);
  text.line(
      "    __device__ __forceinline__ Copies(const Args& args, int batch, int head, int tile) {");
  text.append(start);
  text.line("    }");
  text.line("    __device__ __forceinline__ void issue(char* shared, int stage, int firstToken, "
            "int rows, "
            "int thread) const {");
  text.append(issue);
  text.line("    }");
  text.line("  };");
}

void ScanEmitter::writeStates(Text& text) const {
  using SlotRole = KernelSource::Slot::Role;
  text.line("  template <int I> using State = typename StateType<I>::Type;");
  auto pointer = [&](const char* name, SlotRole role) {
    int first = tensorIndex(kernel.tensors, states[0], role);
    int second = states.size() > 1 ? tensorIndex(kernel.tensors, states[1], role) : first;
    text.line("  template <int I> static __device__ __forceinline__ State<I>* ", name,
              "(const Args& args, int batch, int head) {");
    text.line("    const Tensor& tensor = args.tensors[I == 0 ? ", first, " : ", second, "];");
    text.line("    return tensor.data ? tensor.at<State<I>>(batch, head) : nullptr;");
    text.line("  }");
  };
  pointer("initialState", SlotRole::initial);
  pointer("finalState", SlotRole::final);
  bool keyFirst = plan.operands[form.state].dims[0] == axes.key;
  text.line("  static __device__ __forceinline__ int stateOffset(int d, int v) { return ",
            keyFirst ? "d * kV + v" : "v * kK + d", "; }");
}

void ScanEmitter::writeFinish(Text& text) const {
  text.line("  template <int I> using Output = typename OutputType<I>::Type;");
  text.line("  template <int I> static __device__ __forceinline__ const Tensor& outputTensor(const "
            "Args& args) {");
  for (size_t i = 0; i < outputs.size(); ++i)
    text.line("    if constexpr (I == ", i, ") return args.tensors[",
              tensorIndex(kernel.tensors, outputs[i]), "];");
  text.line("  }");
  text.line("  template <int I> static __device__ __forceinline__ float finish(const Args& args, "
            "char* shared, "
            "int stage, int token, int column, int tile, int head, int firstToken, float read) {");
  text.line("    [[maybe_unused]] const float* slots = reinterpret_cast<const float*>(shared + "
            "kSlotOffset) + token;");
  for (size_t i = 0; i < outputs.size(); ++i) {
    text.line("    if constexpr (I == ", i, ") {");
    auto argument = [&](int arg) {
      if (!analysis.stateDependent(arg) && plan.nodes[arg].dims.empty())
        return program.scalarExpression(arg);
      return "n" + std::to_string(arg);
    };
    for (int index : finishNodes(outputs[i])) {
      const Node& node = plan.nodes[index];
      std::string name = "n" + std::to_string(index);
      if (index == form.read) {
        text.line("      float ", name, " = read;");
      } else if (index == form.normaliserRead) {
        text.line("      float ", name, " = 0.0f;");
        text.line("#pragma unroll");
        text.line("      for (int w = 0; w < kWarps; ++w)");
        text.line(
            "        ", name,
            " += reinterpret_cast<const float*>(shared + kNormaliserOffset)[w * kBlock + token];");
      } else if (!analysis.stateDependent(index) && node.dims.empty()) {
        continue;
      } else if (node.kind == Node::Kind::operand) {
        std::string element = rowExpression(node.operand) + " + column";
        text.line("      float ", name, " = ",
                  plan.operands[node.operand].kind == Operand::Kind::param
                      ? "column < kV - tile * kBlockV ? toFloat(*(" + element + ")) : 0.0f;"
                      : "toFloat(*(" + element + "));");
      } else if (node.kind == Node::Kind::map) {
        text.line("      float ", name, " = ", mapCode(node, argument), ";");
      } else {
        throw std::invalid_argument("scan of '" + plan.variant + "': output '" +
                                    plan.operands[outputs[i]].name +
                                    "' needs more than an elementwise map after the read");
      }
    }
    text.line("      return ", argument(plan.operands[outputs[i]].value), ";");
    text.line("    }");
  }
  text.line("  }");
}

/// Types that the kernel asks for by number.
void ScanEmitter::writeTypes(Text& text) const {
  auto types = [&](const char* name, const std::vector<int>& operands) {
    text.line("template <int I> struct ", name, ";");
    for (size_t i = 0; i < operands.size(); ++i)
      text.line("template <> struct ", name, "<", i,
                "> { using Type = ", cudaType(signature.dtypes[operands[i]]), "; };");
  };
  types("StateType", states);
  types("OutputType", outputs);
}

KernelSource ScanEmitter::emit() {
  check();
  kernel.threads = tile.blockV * 2;
  kernel.tilesPerHead = (dim(axes.value) + tile.blockV - 1) / tile.blockV;
  assignRoles();
  layOut();
  kernel.sharedBytes = rest.size();
  Text variant;
  writeTypes(variant);
  variant.line("struct Variant {");
  writeConstants(variant);
  writeTiles(variant);
  program.write(variant);
  writeCopies(variant);
  writeStates(variant);
  writeFinish(variant);
  variant.line("};");
  kernel.text =
      assemble(plan, kernel, {"templates/kernels/scan_scores.cuh", "templates/kernels/scan.cuh"},
               variant, "lathe::Scan<lathe::Variant>{args, shared}.run();", 1);
  return kernel;
}

}  // namespace

KernelSource emitScan(const Plan& plan, const Signature& signature, const Tile& tile) {
  if (!plan.scan)
    throw std::invalid_argument("variant '" + plan.variant +
                                "' has no scan form; its family is sequential");
  return ScanEmitter(plan, signature, tile).emit();
}

}  // namespace lathe::cuda
