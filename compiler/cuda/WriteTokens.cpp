#include "compiler/cuda/TokenEmitter.h"

#include <stdexcept>

namespace lathe::cuda {

std::string TokenEmitter::element(const std::string& name,
                                  const std::vector<std::string>& dims) const {
  return name + (hasKey(dims) ? "[i]" : "") + (hasValue(dims) ? "[c]" : "");
}

std::string TokenEmitter::argument(int node) const {
  const Node& n = plan.nodes[node];
  if (!late(node) && n.dims.empty())
    return program.scalarExpression(node);
  return element("n" + std::to_string(node), n.dims);
}

void TokenEmitter::declare(Text& text, const std::string& name,
                           const std::vector<std::string>& dims) const {
  text.line("    float ", name, hasKey(dims) ? "[kLength]" : "", hasValue(dims) ? "[kColumns]" : "",
            ";");
}

static const char* const kEachChannel = "#pragma unroll\n    for (int i = 0; i < kLength; ++i)";
static const char* const kEachColumn = "#pragma unroll\n    for (int c = 0; c < kColumns; ++c)";

void TokenEmitter::loops(Text& text, const std::vector<std::string>& dims) const {
  if (hasKey(dims))
    text.line(kEachChannel);
  if (hasValue(dims))
    text.line(kEachColumn);
}

void TokenEmitter::writeReduced(Text& text, const std::string& name,
                                const std::vector<std::string>& dims, bool largest,
                                const std::string& value) const {
  std::string all = hasValue(dims) ? name : name + "_all";
  std::string target = all + (hasValue(dims) ? "[c]" : "[0]");
  text.line("    float ", all, "[", hasValue(dims) ? "kColumns" : "1", "];");
  if (hasValue(dims))
    text.line(kEachColumn, " {");
  writeReduction(text, largest, target, value, "inside(i)", "kLength");
  if (hasValue(dims))
    text.line("    }");
  text.line("    combineOverSplit<Variant, ", largest ? "true" : "false", ">(", all,
            ", shared, turn);");
  if (!hasValue(dims))
    text.line("    float ", name, " = ", all, "[0];");
}

void TokenEmitter::writeAffine(Text& text, int index) const {
  const Node& node = plan.nodes[index];
  const Recurrence& r = plan.recurrences[node.affine];
  std::string name = "n" + std::to_string(index),
              old = element("s" + std::to_string(r.state), node.dims);
  std::vector<std::string> rest;
  for (const std::string& dim : node.dims)
    if (dim != axes.key)
      rest.push_back(dim);
  auto product = [&](size_t term) {
    return "w" + std::to_string(index) + "_" + std::to_string(term);
  };
  for (size_t t = 0; t < r.rank1.size(); ++t)
    writeReduced(text, product(t), rest, false, argument(r.rank1[t].right) + " * " + old);
  std::vector<std::string> decayDims;
  std::string logDecay;
  for (int decay : r.logDecays) {
    logDecay += (logDecay.empty() ? "" : " + ") + argument(decay);
    for (const std::string& dim : plan.nodes[decay].dims)
      if (!std::count(decayDims.begin(), decayDims.end(), dim))
        decayDims.push_back(dim);
  }
  std::string sum = old;
  if (!logDecay.empty()) {
    std::string decay = "d" + std::to_string(index);
    declare(text, decay, decayDims);
    loops(text, decayDims);
    text.line("      ", element(decay, decayDims), " = lathe::exp(", logDecay, ");");
    sum = element(decay, decayDims) + " * " + old;
  }
  for (size_t t = 0; t < r.rank1.size(); ++t)
    sum += " + " + argument(r.rank1[t].left) + " * " + element(product(t), rest);
  for (const auto& term : r.outer)
    sum += " + " + argument(term.key) + " * " + argument(term.value);
  declare(text, name, node.dims);
  loops(text, node.dims);
  text.line("      ", element(name, node.dims), " = ", sum, ";");
}

void TokenEmitter::writeNode(Text& text, int index) const {
  const Node& node = plan.nodes[index];
  std::string name = "n" + std::to_string(index);
  if (node.kind == Node::Kind::affine)
    return writeAffine(text, index);
  if (node.kind == Node::Kind::sum || node.kind == Node::Kind::max)
    return writeReduced(text, name, node.dims, node.kind == Node::Kind::max,
                        argument(node.args[0]));
  if (node.kind == Node::Kind::contract)
    return writeReduced(text, name, node.dims, false,
                        argument(node.args[0]) + " * " + argument(node.args[1]));
  std::string code = node.kind == Node::Kind::state
                         ? element("s" + std::to_string(node.operand), node.dims)
                         : mapCode(node, [&](int arg) { return argument(arg); });
  declare(text, name, node.dims);
  loops(text, node.dims);
  text.line("      ", element(name, node.dims), " = ", code, ";");
}

void TokenEmitter::writeOutput(Text& text, int operand) const {
  const Operand& output = plan.operands[operand];
  std::string tensor = "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand)) + "]";
  std::string type = cudaType(signature.dtypes[operand]);
  if (output.dims.size() > 1)
    throw std::invalid_argument("variant '" + plan.variant + "': output '" + output.name +
                                "' spans two dimensions; kernels write one");
  text.line("    {");
  text.line("      ", type, "* row = ", tensor, ".at<", type,
            ">(sequence, head) + int64(firstToken + token) * ", tensor, ".token;");
  declare(text, "y", output.dims);
  loops(text, output.dims);
  text.line("      ", element("y", output.dims), " = ", argument(output.value), ";");
  if (output.dims.empty()) {
    text.line("      if (column == 0 && part == 0)\n        row[0] = fromFloat<", type, ">(y);");
  } else if (axes.isValue(output.dims)) {
    text.line("      if (part == 0)\n        storeNeighbours(row + column, y, kV - column);");
  } else {
    text.line(kEachChannel);
    text.line(
        "        if (column == 0 && inside(i))\n          row[i * kSplitK + part] = fromFloat<",
        type, ">(y[i]);");
  }
  text.line("    }");
}

void TokenEmitter::writeAdvance(Text& text) const {
  text.line(
      "    __device__ __forceinline__ void advance(const Args& args, char* shared, int token, "
      "const Sequence& sequence, int head, int firstToken) {");
  text.line("    [[maybe_unused]] const float* slots = reinterpret_cast<const float*>(shared + "
            "kSlotOffset) + token;");
  for (auto [node, offset] : ahead) {
    const std::vector<std::string>& dims = plan.nodes[node].dims;
    declare(text, "n" + std::to_string(node), dims);
    loops(text, dims);
    text.line("      ", argument(node), " = reinterpret_cast<const float*>(shared + ", offset,
              ")[token * ", axes.isKey(dims) ? paddedK : tile.blockV, " + ",
              axes.isKey(dims) ? "i * kSplitK + part" : "local + c", "];");
  }
  for (int node : lateNodes())
    writeNode(text, node);
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      writeOutput(text, i);
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& state = plan.operands[i];
    if (state.kind != Operand::Kind::state)
      continue;
    loops(text, state.dims);
    text.line("      ", element("s" + std::to_string(i), state.dims), " = ", argument(state.value),
              ";");
  }
  text.line("    }");
}

/// A state between its registers and memory: initial value in, final value out.
void TokenEmitter::writeTransfer(Text& text, bool load) const {
  using Role = KernelSource::Slot::Role;
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& state = plan.operands[i];
    if (state.kind != Operand::Kind::state)
      continue;
    bool keyed = hasKey(state.dims), spread = hasValue(state.dims);
    bool keyFirst = keyed && state.dims[0] == axes.key;
    std::string name = "s" + std::to_string(i), type = cudaType(signature.dtypes[i]);
    std::string channel = keyed ? "(i * kSplitK + part)" : "0";
    text.line("    {");
    text.line("      const Tensor& tensor = args.tensors[",
              tensorIndex(kernel.tensors, i, load ? Role::initial : Role::final), "];");
    text.line("      ", type, "* data = tensor.stateAt<", type, ">(sequence, head);");
    if (keyed && !(spread && keyFirst))
      text.line(kEachChannel);
    std::string mine = keyed ? "inside(i)" : load ? "true" : "part == 0";
    if (spread && keyFirst) {
      std::string rows = "data + part * kV + column";
      text.line("      ", load ? "loadRows<kSplitK * kV>(" : "storeRows<kSplitK * kV>(",
                load ? name : rows, ", ", load ? rows : name,
                ", channels(), data ? kV - column : 0);");
    } else if (spread && !keyed) {
      text.line("      ", load ? "loadNeighbours(" : "storeNeighbours(",
                load ? name : "data + column", ", ", load ? "data + column" : name, ", data && ",
                mine, " ? kV - column : 0);");
    } else if (spread) {
      text.line(kEachColumn);
      std::string inside = "data && " + mine + " && column + c < kV";
      std::string place = "data[(column + c) * kK + " + channel + "]";
      if (load)
        text.line("        ", name, "[i][c] = ", inside, " ? toFloat(", place, ") : 0.0f;");
      else
        text.line("        if (", inside, ")\n          ", place, " = fromFloat<", type, ">(", name,
                  "[i][c]);");
    } else {
      std::string place = "data[" + channel + "]", own = element(name, state.dims);
      if (load)
        text.line("        ", own, " = data && ", mine, " ? toFloat(", place, ") : 0.0f;");
      else
        text.line("        if (data && ", mine, " && column == 0)\n          ", place,
                  " = fromFloat<", type, ">(", own, ");");
    }
    text.line("    }");
  }
}

void TokenEmitter::writeState(Text& text) const {
  text.line("  struct State {");
  text.line("    int local, column, part, turn;");
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::state)
      declare(text, "s" + std::to_string(i), plan.operands[i].dims);
  text.line("    __device__ __forceinline__ bool inside(int i) const {");
  text.line("      return kK % kSplitK == 0 || i * kSplitK + part < kK;\n    }");
  text.line("    __device__ __forceinline__ int channels() const {");
  text.line(
      "      return kK % kSplitK == 0 ? kLength : (kK - part + kSplitK - 1) / kSplitK;\n    }");
  text.line("    __device__ __forceinline__ void load(const Args& args, const Sequence& sequence, "
            "int head) {");
  writeTransfer(text, true);
  text.line("    }");
  text.line("    __device__ __forceinline__ void store(const Args& args, const Sequence& sequence, "
            "int head) {");
  writeTransfer(text, false);
  text.line("    }");
  writeAdvance(text);
  text.line("  };");
}

}  // namespace lathe::cuda
