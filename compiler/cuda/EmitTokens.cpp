// The Variant of the step and sequential families: the token program itself, the state in
// registers.
#include "compiler/cuda/Families.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

namespace {

class TokenEmitter {
public:
  TokenEmitter(const Plan& plan, Family family, const Signature& signature, const Tile& tile);
  KernelSource emit();

private:
  bool hasKey(const std::vector<std::string>& dims) const {
    return std::count(dims.begin(), dims.end(), axes.key) > 0;
  }
  bool hasValue(const std::vector<std::string>& dims) const {
    return std::count(dims.begin(), dims.end(), axes.value) > 0;
  }
  int dim(const std::string& name) const { return name.empty() ? 1 : signature.dims.at(name); }
  /// Whether a node is computed token by token rather than ahead, for a block of tokens.
  bool late(int node) const {
    return analysis.stateDependent(node) || plan.nodes[node].dims.size() > 1;
  }
  void check() const;
  void prepare();
  std::set<int> lateNodes() const;
  std::vector<int> argumentsOf(int node) const;
  std::string argument(int node) const;
  void declare(Text& text, int node) const;
  void writeState(Text& text) const;
  void writeTransfer(Text& text, bool load) const;
  void writeAdvance(Text& text) const;
  void writeNode(Text& text, int node) const;
  void writeAffine(Text& text, int node) const;
  void writeReduced(Text& text, int node, const std::string& value) const;
  void writeOutput(Text& text, int operand) const;

  const Plan& plan;
  const Family family;
  const Signature& signature;
  const Tile& tile;
  Analysis analysis;
  Axes axes;
  KernelSource kernel;
  Program program;
  int paddedK = 1;
  std::vector<int> roots;
  std::map<int, int> ahead;  ///< Offset of the rows of each vector that is computed ahead.
  SharedLayout layout;
  int slotOffset = 0;
};

TokenEmitter::TokenEmitter(const Plan& plan, Family family, const Signature& signature,
                           const Tile& tile)
    : plan(plan), family(family), signature(signature), tile(tile), analysis(plan),
      axes(tokenAxes(plan, analysis).axes),
      program(
          plan, signature, analysis, axes,
          [this](int operand) { return tensorIndex(kernel.tensors, operand); },
          [this](int operand) {
            auto found = std::find(kernel.constants.begin(), kernel.constants.end(), operand);
            return int(found - kernel.constants.begin());
          }) {
  kernel.entry = entryName(plan, family);
  kernel.tensors = tensorSlots(plan);
  kernel.constants = constantOperands(plan);
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::output || operand.kind == Operand::Kind::state)
      roots.push_back(operand.value);
}

void TokenEmitter::check() const {
  auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(std::string(name(family)) + " of '" + plan.variant +
                                "' with tile " + toString(tile) + ": " + why);
  };
  TokenAxes found = tokenAxes(plan, analysis);
  if (!found.refusal.empty())
    refuse(found.refusal);
  bool power = tile.splitK > 0 && tile.splitK <= 32 && (tile.splitK & (tile.splitK - 1)) == 0;
  if (!power)
    refuse("splitK must be a power of two up to 32");
  if (tile.blockV < 32 / tile.splitK || tile.blockV % (32 / tile.splitK) ||
      tile.blockV * tile.splitK > 1024)
    refuse("blockV times splitK must be a multiple of 32 up to 1024");
  if (tile.block < 1 || tile.block > 64)
    refuse("block must be 1 to 64");
}

std::vector<int> TokenEmitter::argumentsOf(int index) const {
  const Node& node = plan.nodes[index];
  if (node.kind != Node::Kind::affine)
    return node.args;
  const Recurrence& r = plan.recurrences[node.affine];
  std::vector<int> result = r.logDecays;
  for (const auto& term : r.rank1)
    result.insert(result.end(), {term.left, term.right});
  for (const auto& term : r.outer)
    result.insert(result.end(), {term.key, term.value});
  return result;
}

std::set<int> TokenEmitter::lateNodes() const {
  std::set<int> result;
  std::vector<int> work = roots;
  while (!work.empty()) {
    int node = work.back();
    work.pop_back();
    if (!late(node) || !result.insert(node).second)
      continue;
    for (int arg : argumentsOf(node))
      work.push_back(arg);
  }
  return result;
}

void TokenEmitter::prepare() {
  paddedK = (dim(axes.key) + tile.splitK - 1) / tile.splitK * tile.splitK;
  program.rowElements = [this](const std::vector<std::string>& dims) {
    return dims[0] == axes.value ? std::min(tile.blockV, dim(axes.value)) : dim(dims[0]);
  };
  program.firstElement = [this](const std::vector<std::string>& dims) {
    return std::string(dims[0] == axes.value ? "tile * kBlockV" : "0");
  };
  program.rowPointer = [this](int operand) {
    const Operand& o = plan.operands[operand];
    std::string tensor =
        "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand)) + "]";
    std::string type = cudaType(signature.dtypes[operand]);
    std::string row = tensor + ".at<const " + type + ">(";
    row += o.kind == Operand::Kind::param
               ? "0, head)"
               : "batch, head) + int64(firstToken + token) * " + tensor + ".token";
    return row + " + " + program.firstElement(o.dims);
  };
  std::vector<int> wanted = roots;
  for (int node : lateNodes())
    for (int arg : argumentsOf(node))
      wanted.push_back(arg);
  for (int node : wanted) {
    const Node& n = plan.nodes[node];
    if (late(node) || ahead.count(node))
      continue;
    if (n.dims.empty()) {
      program.keepScalar(node);
      continue;
    }
    bool ofValue = axes.isValue(n.dims);
    if (!ofValue && !axes.isKey(n.dims))
      throw std::invalid_argument("variant '" + plan.variant + "': a value over " + n.dims[0] +
                                  " meets a state over " + axes.key + " and " + axes.value);
    int padded = ofValue ? tile.blockV : paddedK;
    ahead[node] = layout.take(sizeof(float) * tile.block * padded);
    program.storeVector(node, n.dims,
                        "reinterpret_cast<float*>(shared + " + std::to_string(ahead[node]) +
                            ") + token * " + std::to_string(padded),
                        "float", program.rowElements(n.dims), padded, program.firstElement(n.dims));
  }
  slotOffset = layout.take(sizeof(float) * tile.block * std::max(1, program.slotCount()));
}

std::string TokenEmitter::argument(int node) const {
  const Node& n = plan.nodes[node];
  if (!late(node) && n.dims.empty())
    return program.scalarExpression(node);
  return "n" + std::to_string(node) + (hasKey(n.dims) ? "[i]" : "");
}

void TokenEmitter::declare(Text& text, int node) const {
  text.line("    float n", node, hasKey(plan.nodes[node].dims) ? "[kLength];" : ";");
}

static const char* const kEachChannel = "#pragma unroll\n    for (int i = 0; i < kLength; ++i)";

void TokenEmitter::writeReduced(Text& text, int node, const std::string& value) const {
  std::string name = "n" + std::to_string(node);
  bool largest = plan.nodes[node].kind == Node::Kind::max;
  writeReduction(text, plan.nodes[node], name, value, "inside(i)", "kLength");
  text.line("    ", name, " = ", largest ? "max" : "sum", "OverSplit<Variant>(", name, ");");
}

void TokenEmitter::writeAffine(Text& text, int index) const {
  const Node& node = plan.nodes[index];
  const Recurrence& r = plan.recurrences[node.affine];
  std::string old = "s" + std::to_string(r.state) + (hasKey(node.dims) ? "[i]" : "");
  bool stateHasKey = hasKey(node.dims);
  for (size_t t = 0; t < r.rank1.size(); ++t) {
    text.line("    float w", index, "_", t, " = 0.0f;");
    text.line(kEachChannel);
    text.line("      w", index, "_", t, " += inside(i) ? ", argument(r.rank1[t].right), " * ", old,
              " : 0.0f;");
    text.line("    w", index, "_", t, " = sumOverSplit<Variant>(w", index, "_", t, ");");
  }
  std::string logDecay;
  for (int decay : r.logDecays)
    logDecay += (logDecay.empty() ? "" : " + ") + argument(decay);
  bool perChannel = std::any_of(r.logDecays.begin(), r.logDecays.end(),
                                [&](int decay) { return hasKey(plan.nodes[decay].dims); });
  std::string decayed = old;
  if (!logDecay.empty() && !perChannel)
    text.line("    float d", index, " = lathe::exp(", logDecay, ");");
  if (!logDecay.empty())
    decayed =
        (perChannel ? "lathe::exp(" + logDecay + ")" : "d" + std::to_string(index)) + " * " + old;
  std::string sum = decayed;
  for (size_t t = 0; t < r.rank1.size(); ++t)
    sum += " + " + argument(r.rank1[t].left) + " * w" + std::to_string(index) + "_" +
           std::to_string(t);
  for (const auto& term : r.outer)
    sum += " + " + argument(term.key) + " * " + argument(term.value);
  declare(text, index);
  if (stateHasKey)
    text.line(kEachChannel);
  text.line("      n", index, stateHasKey ? "[i]" : "", " = ", sum, ";");
}

void TokenEmitter::writeNode(Text& text, int index) const {
  const Node& node = plan.nodes[index];
  bool vector = hasKey(node.dims);
  if (node.kind == Node::Kind::affine)
    return writeAffine(text, index);
  if (node.kind == Node::Kind::sum || node.kind == Node::Kind::max)
    return writeReduced(text, index, argument(node.args[0]));
  if (node.kind == Node::Kind::contract)
    return writeReduced(text, index, argument(node.args[0]) + " * " + argument(node.args[1]));
  declare(text, index);
  if (vector)
    text.line(kEachChannel);
  std::string code = node.kind == Node::Kind::state
                         ? "s" + std::to_string(node.operand) + (vector ? "[i]" : "")
                         : mapCode(node, [&](int arg) { return argument(arg); });
  text.line("      n", index, vector ? "[i]" : "", " = ", code, ";");
}

void TokenEmitter::writeOutput(Text& text, int operand) const {
  const Operand& output = plan.operands[operand];
  std::string tensor = "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand)) + "]";
  std::string type = cudaType(signature.dtypes[operand]);
  std::string value = argument(output.value);
  text.line("    {");
  text.line("      ", type, "* row = ", tensor, ".at<", type,
            ">(batch, head) + int64(firstToken + token) * ", tensor, ".token;");
  if (output.dims.size() > 1)
    throw std::invalid_argument("variant '" + plan.variant + "': output '" + output.name +
                                "' spans two dimensions; kernels write one");
  if (output.dims.empty()) {
    text.line("      if (column == 0 && part == 0)\n        row[0] = fromFloat<", type, ">(", value,
              ");");
  } else if (axes.isValue(output.dims)) {
    text.line("      if (column < kV && part == 0)\n        row[column] = fromFloat<", type, ">(",
              value, ");");
  } else {
    text.line(kEachChannel);
    text.line(
        "        if (column == 0 && inside(i))\n          row[i * kSplitK + part] = fromFloat<",
        type, ">(", value, ");");
  }
  text.line("    }");
}

void TokenEmitter::writeAdvance(Text& text) const {
  text.line(
      "    __device__ __forceinline__ void advance(const Args& args, char* shared, int token, "
      "int batch, int head, int firstToken) {");
  text.line("    [[maybe_unused]] const float* slots = reinterpret_cast<const float*>(shared + "
            "kSlotOffset) + token;");
  for (auto [node, offset] : ahead) {
    bool vector = axes.isKey(plan.nodes[node].dims);
    int padded = vector ? paddedK : tile.blockV;
    declare(text, node);
    if (vector)
      text.line(kEachChannel);
    text.line("      n", node, vector ? "[i]" : "", " = reinterpret_cast<const float*>(shared + ",
              offset, ")[token * ", padded, " + ", vector ? "i * kSplitK + part" : "local", "];");
  }
  for (int node : lateNodes())
    writeNode(text, node);
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      writeOutput(text, i);
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    if (plan.operands[i].kind != Operand::Kind::state)
      continue;
    bool vector = hasKey(plan.operands[i].dims);
    if (vector)
      text.line(kEachChannel);
    text.line("      s", i, vector ? "[i]" : "", " = ", argument(plan.operands[i].value), ";");
  }
  text.line("    }");
}

void TokenEmitter::writeTransfer(Text& text, bool load) const {
  using Role = KernelSource::Slot::Role;
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& state = plan.operands[i];
    if (state.kind != Operand::Kind::state)
      continue;
    bool vector = hasKey(state.dims), columns = hasValue(state.dims);
    std::string type = cudaType(signature.dtypes[i]);
    int tensor = tensorIndex(kernel.tensors, i, load ? Role::initial : Role::final);
    std::string offset = "0";
    if (vector && columns)
      offset = state.dims[0] == axes.key ? "(i * kSplitK + part) * kV + column"
                                         : "column * kK + i * kSplitK + part";
    else if (vector)
      offset = "i * kSplitK + part";
    else if (columns)
      offset = "column";
    std::string inside = vector ? "inside(i)" : load ? "true" : "part == 0";
    inside += columns ? " && column < kV" : load ? "" : " && column == 0";
    std::string element = "s" + std::to_string(i) + (vector ? "[i]" : "");
    text.line("    {");
    text.line("      const Tensor& tensor = args.tensors[", tensor, "];");
    text.line("      ", type, "* data = tensor.data ? tensor.at<", type,
              ">(batch, head) : nullptr;");
    if (vector)
      text.line(kEachChannel);
    if (load)
      text.line("        ", element, " = data && ", inside, " ? toFloat(data[", offset,
                "]) : 0.0f;");
    else
      text.line("        if (data && ", inside, ")\n          data[", offset, "] = fromFloat<",
                type, ">(", element, ");");
    text.line("    }");
  }
}

void TokenEmitter::writeState(Text& text) const {
  text.line("  struct State {");
  text.line("    int local, column, part;");
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::state)
      text.line("    float s", i, hasKey(plan.operands[i].dims) ? "[kLength]" : "", ";  // ",
                plan.operands[i].name);
  text.line("    __device__ __forceinline__ bool inside(int i) const {");
  text.line("      return kK % kSplitK == 0 || i * kSplitK + part < kK;\n    }");
  text.line("    __device__ __forceinline__ void load(const Args& args, int batch, int head) {");
  writeTransfer(text, true);
  text.line("    }");
  text.line("    __device__ __forceinline__ void store(const Args& args, int batch, int head, int "
            "tile) {");
  writeTransfer(text, false);
  text.line("    }");
  writeAdvance(text);
  text.line("  };");
}

KernelSource TokenEmitter::emit() {
  check();
  kernel.threads = tile.blockV * tile.splitK;
  kernel.tilesPerHead = (dim(axes.value) + tile.blockV - 1) / tile.blockV;
  prepare();
  kernel.sharedBytes = layout.size();
  Text variant;
  variant.line("struct Variant {");
  auto constant = [&](const char* name, int value) {
    variant.line("  static constexpr int ", name, " = ", value, ";");
  };
  constant("kK", dim(axes.key));
  constant("kV", dim(axes.value));
  constant("kBlockV", tile.blockV);
  constant("kSplitK", tile.splitK);
  constant("kLength", paddedK / tile.splitK);
  constant("kBlock", tile.block);
  constant("kTiles", kernel.tilesPerHead);
  constant("kThreads", kernel.threads);
  constant("kWarps", kernel.threads / 32);
  constant("kSlotOffset", slotOffset);
  program.write(variant);
  writeState(variant);
  variant.line("};");
  kernel.text = assemble(plan, kernel, {"templates/kernels/tokens.cuh"}, variant,
                         "lathe::runTokens<lathe::Variant>(args, shared);", 1);
  return kernel;
}

}  // namespace

KernelSource emitTokens(const Plan& plan, Family family, const Signature& signature,
                        const Tile& tile) {
  return TokenEmitter(plan, family, signature, tile).emit();
}

}  // namespace lathe::cuda
