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

void TokenEmitter::loops(Text& text, const std::vector<std::string>& dims) const {
  if (hasKey(dims))
    text.line("#pragma unroll\n    for (int i = 0; i < kLength; ++i)");
  if (hasValue(dims))
    text.line("#pragma unroll\n    for (int c = 0; c < kColumns; ++c)");
}

TokenEmitter::Decay TokenEmitter::decayOver(int affine, bool key) const {
  Decay decay;
  for (int log : plan.recurrences[plan.nodes[affine].affine].logDecays) {
    const std::vector<std::string>& dims = plan.nodes[log].dims;
    if (hasKey(dims) != key)
      continue;
    decay.logSum += (decay.logSum.empty() ? "" : " + ") + argument(log);
    for (const std::string& dim : dims)
      if (!std::count(decay.dims.begin(), decay.dims.end(), dim))
        decay.dims.push_back(dim);
  }
  if (!decay.logSum.empty())
    decay.factor = element((key ? "dk" : "dv") + std::to_string(affine), decay.dims) + " * ";
  return decay;
}

void TokenEmitter::writeDecays(Text& text, int affine) {
  if (!decaysWritten.insert(affine).second)
    return;
  for (bool key : {true, false}) {
    Decay decay = decayOver(affine, key);
    if (decay.logSum.empty())
      continue;
    std::string name = (key ? "dk" : "dv") + std::to_string(affine);
    declare(text, name, decay.dims);
    loops(text, decay.dims);
    text.line("      ", element(name, decay.dims), " = lathe::exp(", decay.logSum, ");");
  }
}

void TokenEmitter::writeAffine(Text& text, int index) {
  const Node& node = plan.nodes[index];
  const Recurrence& r = plan.recurrences[node.affine];
  writeDecays(text, index);
  std::string sum = decayOver(index, false).factor + decayOver(index, true).factor +
                    element("s" + std::to_string(r.state), node.dims);
  for (const Product& product : products(index)) {
    std::string row = rowName(index, product.base);
    declare(text, row, product.dims);
    loops(text, product.dims);
    text.line("      ", element(row, product.dims), " = ", product.row, ";");
    sum += " + " + argument(product.base) + " * " + element(row, product.dims);
  }
  for (const auto& term : r.outer)
    if (!isProduct(term))
      sum += " + " + argument(term.key) + " * " + argument(term.value);
  std::string name = "n" + std::to_string(index);
  declare(text, name, node.dims);
  loops(text, node.dims);
  text.line("      ", element(name, node.dims), " = ", sum, ";");
}

/// The read of a new state, of sums over the old one (see readAhead).
void TokenEmitter::writeReadAhead(Text& text, int index, int read) const {
  const Node& node = plan.nodes[index];
  std::string name = "n" + std::to_string(index);
  std::string sum = decayOver(read, false).factor + element(name + "_s", node.dims);
  for (const Product& product : products(read))
    sum += " + " + name + "_" + std::to_string(product.base) + " * " +
           element(rowName(read, product.base), product.dims);
  declare(text, name, node.dims);
  loops(text, node.dims);
  text.line("      ", element(name, node.dims), " = ", sum, ";");
}

void TokenEmitter::writeNode(Text& text, int index) {
  const Node& node = plan.nodes[index];
  std::string name = "n" + std::to_string(index);
  if (node.kind == Node::Kind::affine)
    return writeAffine(text, index);
  if (node.kind == Node::Kind::contract) {
    if (int read = readAhead(index); read >= 0)
      writeReadAhead(text, index, read);
    return;
  }
  if (node.kind == Node::Kind::sum || node.kind == Node::Kind::max)
    return;
  std::string code = node.kind == Node::Kind::state
                         ? element("s" + std::to_string(node.operand), node.dims)
                         : mapCode(node, [&](int arg) { return argument(arg); });
  declare(text, name, node.dims);
  loops(text, node.dims);
  text.line("      ", element(name, node.dims), " = ", code, ";");
}

void TokenEmitter::writeAdvance(Text& text) {
  text.line(
      "    __device__ __forceinline__ void advance(const Args& args, char* shared, int token, "
      "int position) {");
  text.line("    [[maybe_unused]] const float* slots = reinterpret_cast<const float*>(shared + "
            "kSlotOffset) + token;");
  for (auto [node, offset] : ahead) {
    const std::vector<std::string>& dims = plan.nodes[node].dims;
    std::string name = "n" + std::to_string(node);
    declare(text, name, dims);
    std::string row = "reinterpret_cast<const float*>(shared + " + std::to_string(offset) +
                      ") + token * " + std::to_string(axes.isKey(dims) ? paddedK : tile.blockV);
    if (axes.isKey(dims))
      text.line("    channels.load(", name, ", ", row, ");");
    else
      text.line("    loadNeighbours(", name, ", ", row, " + local);");
  }
  writeFactors(text);
  std::set<int> nodes = wholeNodes();
  int last = 0;
  for (int node : nodes)
    last = std::max(last, level(node));
  for (int now = 0; now <= last; ++now) {
    for (int node : nodes)
      if (level(node) == now)
        writeNode(text, node);
    for (int node : nodes)
      if (plan.nodes[node].kind == Node::Kind::contract && readAhead(node) >= 0 &&
          decayLevel(readAhead(node)) <= now)
        writeDecays(text, readAhead(node));
    writeSums(text, now, false);
    writeSums(text, now, true);
  }
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      writeOutput(text, i, argument(plan.operands[i].value));
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

}  // namespace lathe::cuda
