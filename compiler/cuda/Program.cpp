#include "compiler/cuda/Program.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace lathe::cuda {

std::string literal(double value) {
  if (std::isinf(value))
    return value > 0 ? "__int_as_float(0x7f800000)" : "__int_as_float(0xff800000)";
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.9g", value);
  std::string text = buffer;
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return text + "f";
}

const char* cudaType(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return "float";
  case DType::bf16:
    return "bf16";
  case DType::f16:
    return "f16";
  }
  return "float";
}

/// How a row program is declared and called.
static const char* const kRowParameters =
    "const Args& args, char* shared, int stage, int token, bool valid, int tile, "
    "const Sequence& sequence, int head, int firstToken, int lane";
static const char* const kRowArguments =
    "args, shared, stage, token, valid, tile, sequence, head, firstToken, lane";

Program::Program(const Plan& plan, const Signature& signature, const Analysis& analysis, Axes axes,
                 std::function<int(int)> tensorIndex, std::function<int(int)> constantIndex)
    : plan(plan), signature(signature), analysis(analysis), axes(std::move(axes)),
      tensorIndex(std::move(tensorIndex)), constantIndex(std::move(constantIndex)) {}

void Program::keepScalar(int node) {
  if (isLeafUniform(plan.nodes[node]) || std::count(slots.begin(), slots.end(), node))
    return;
  slots.push_back(node);
  if (byTask || analysis.scalar(node))
    return;
  // What the row program reads from the thread's half has to be kept, too.
  for (int other : analysis.closure({node}, [&](int n) { return analysis.scalar(n); }))
    if (analysis.scalar(other))
      keepScalar(other);
}

void Program::storeVector(int node, std::vector<std::string> dims, std::string pointer,
                          std::string type, int length, int padded, std::string first) {
  stores.push_back({node, std::move(dims), std::move(pointer), std::move(type), std::move(first),
                    length, padded});
  if (byTask)
    return;
  for (int other : analysis.closure({node}, [&](int n) { return analysis.scalar(n); }))
    if (analysis.scalar(other))
      keepScalar(other);
}

std::set<int> Program::rowNodes() const {
  std::vector<int> roots;
  for (const Store& store : stores)
    roots.push_back(store.node);
  for (int node : slots)
    if (!analysis.scalar(node))
      roots.push_back(node);
  std::set<int> nodes = analysis.closure(roots, [&](int n) { return analysis.scalar(n); });
  std::erase_if(nodes, [&](int n) { return analysis.scalar(n); });
  return nodes;
}

std::set<int> Program::threadNodes() const {
  std::vector<int> roots;
  for (int node : slots)
    if (analysis.scalar(node))
      roots.push_back(node);
  return analysis.closure(roots, [](int) { return false; });
}

std::set<int> Program::vectorInputs() const {
  std::set<int> result;
  for (int node : rowNodes())
    if (plan.nodes[node].kind == Node::Kind::operand &&
        plan.operands[plan.nodes[node].operand].kind == Operand::Kind::input)
      result.insert(plan.nodes[node].operand);
  return result;
}

int Program::slot(int node) const {
  auto found = std::find(slots.begin(), slots.end(), node);
  if (found == slots.end())
    throw std::logic_error("node " + std::to_string(node) + " was not kept");
  return int(found - slots.begin());
}

bool Program::hasRowProgram() const {
  return !stores.empty() ||
         std::any_of(slots.begin(), slots.end(), [&](int n) { return !analysis.scalar(n); });
}

bool Program::hasTokenScalars() const {
  return std::any_of(slots.begin(), slots.end(), [&](int n) { return analysis.scalar(n); });
}

std::string Program::scalarExpression(int index) const {
  const Node& node = plan.nodes[index];
  switch (node.kind) {
  case Node::Kind::constant:
    return literal(node.value);
  case Node::Kind::dimension:
    return literal(signature.dims.at(node.name));
  case Node::Kind::override_:
    return "args.constants[" + std::to_string(constantIndex(node.operand)) + "]";
  default:
    return "slots[" + std::to_string(slot(index)) + " * kBlock]";
  }
}

std::string mapCode(const Node& node, const std::function<std::string(int)>& argument) {
  std::vector<std::string> arguments;
  for (int arg : node.args)
    arguments.push_back(argument(arg));
  return mapCode(node.op, arguments);
}

std::string mapCode(Op op, const std::vector<std::string>& a) {
  switch (op) {
  case Op::add:
    return a[0] + " + " + a[1];
  case Op::subtract:
    return a[0] + " - " + a[1];
  case Op::multiply:
    return a[0] + " * " + a[1];
  case Op::negate:
    return "-(" + a[0] + ")";
  default:
    break;
  }
  std::string call = std::string("lathe::") + name(op) + "(" + a[0];
  for (size_t i = 1; i < a.size(); ++i)
    call += ", " + a[i];
  return call + ")";
}

void writeReduction(Text& text, bool largest, const std::string& name, const std::string& value,
                    const std::string& inside, const std::string& length) {
  text.line("    ", name, " = ", largest ? literal(-INFINITY) : "0.0f", ";");
  text.line("#pragma unroll");
  text.line("    for (int i = 0; i < ", length, "; ++i)");
  if (largest)
    text.line("      ", name, " = ", inside, " ? fmaxf(", name, ", ", value, ") : ", name, ";");
  else
    text.line("      ", name, " += ", inside, " ? ", value, " : 0.0f;");
}

void Program::write(Text& text) const {
  writeScalars(text);
  writeScalarProgram(text);
  writeRows(text);
  writeMapRows(text);
  writeRowProgram(text);
}

/// What a thread reads of a token and what it reads once for its head, as it lies in memory: a
/// conversion would wait for the read.
void Program::writeScalars(Text& text) const {
  Text inputs, params, inputLoads, paramLoads;
  for (int index : threadNodes()) {
    const Node& node = plan.nodes[index];
    if (node.kind != Node::Kind::operand)
      continue;
    const Operand& operand = plan.operands[node.operand];
    bool isParam = operand.kind == Operand::Kind::param;
    const char* type = cudaType(signature.dtypes[node.operand]);
    (isParam ? params : inputs).line("    ", type, " n", index, ";  // ", operand.name);
    if (isParam)
      paramLoads.line("      n", index, " = ", scalarOperand(index, ""), ";");
    else
      inputLoads.line("      n", index, " = valid ? ", scalarOperand(index, "token"), " : ", type,
                      "{};");
  }
  text.line("  struct Inputs {");
  text.append(inputs);
  text.line("    __device__ __forceinline__ void load(const Args& args, const Sequence& sequence, "
            "int head, int token, bool valid) {");
  text.append(inputLoads);
  text.line("    }\n  };");
  text.line("  struct Params {");
  text.append(params);
  text.line("    __device__ __forceinline__ void load(const Args& args, int head) {");
  text.append(paramLoads);
  text.line("    }\n  };");
  text.line("  struct Scalars : Inputs, Params {");
  text.line("    __device__ __forceinline__ void load(const Args& args, const Sequence& sequence, "
            "int head, int token, bool valid) {");
  text.line("      Inputs::load(args, sequence, head, token, valid);");
  text.line("      Params::load(args, head);");
  text.line("    }\n  };");
}

std::string Program::scalarOperand(int index, const std::string& token) const {
  const Node& node = plan.nodes[index];
  std::string tensor = "args.tensors[" + std::to_string(tensorIndex(node.operand)) + "]";
  std::string type = std::string("const ") + cudaType(signature.dtypes[node.operand]);
  if (plan.operands[node.operand].kind == Operand::Kind::param)
    return "*" + tensor + ".at<" + type + ">(0, head)";
  return tensor + ".at<" + type + ">(sequence, head)[int64(" + token + ") * " + tensor +
         ".stride(sequence)]";
}

void Program::writeScalarProgram(Text& text) const {
  text.line(
      "  static __device__ __forceinline__ void scalarProgram(const Args& args, const Scalars& "
      "s, float* slots, int head, int position, bool valid) {");
  text.line("    scalarProgram(args, s, s, slots, head, position, valid);");
  text.line("  }");
  text.line(
      "  static __device__ __forceinline__ void scalarProgram(const Args& args, const Inputs& "
      "inputs, const Params& params, float* slots, int head, int position, bool valid) {");
  auto argument = [&](int arg) {
    return isLeafUniform(plan.nodes[arg]) ? scalarExpression(arg) : "n" + std::to_string(arg);
  };
  for (int index : threadNodes()) {
    const Node& node = plan.nodes[index];
    if (node.kind == Node::Kind::operand)
      text.line("    float n", index, " = toFloat(",
                plan.operands[node.operand].kind == Operand::Kind::param ? "params" : "inputs",
                ".n", index, ");");
    else if (node.kind == Node::Kind::position)
      text.line("    float n", index, " = float(position);");
    else if (node.kind == Node::Kind::map)
      text.line("    float n", index, " = ", mapCode(node, argument), ";");
  }
  for (size_t i = 0; i < slots.size(); ++i)
    if (analysis.scalar(slots[i]))
      text.line("    slots[", i, " * kBlock] = valid ? n", slots[i], " : 0.0f;");
  text.line("  }");
}

/// How many elements of a row of `length` a lane has.
std::string Program::rowCount(int length) const {
  return rowLanes ? "8" : "rowLength<" + std::to_string(length) + ">";
}

/// "float NAME[...]": the part of a row that a lane has.
std::string Program::rowArray(const std::string& name, int length) const {
  return "float " + name + "[" + rowCount(length) + "]";
}

/// What a warp reads of a token, apart from what it makes of it, so that a kernel can have the
/// reads in flight while it does something else.
void Program::writeRows(Text& text) const {
  text.line("  struct Rows {");
  Text loads;
  const std::string lanes = rowLanes ? ", " + std::to_string(rowLanes) : "";
  for (int index : rowNodes()) {
    const Node& node = plan.nodes[index];
    if (node.kind != Node::Kind::operand)
      continue;
    int length = rowElements(node.dims);
    text.line("    ", rowArray("n" + std::to_string(index), length), ";  // ",
              plan.operands[node.operand].name);
    loads.line("      ", rowLanes ? "loadPieces<" : "loadRow<", length, lanes, ">(n", index, ", ",
               rowPointer(node.operand), ", ", signature.dims.at(node.dims[0]), " - ",
               firstElement(node.dims), ", valid, lane);");
  }
  text.line("    __device__ __forceinline__ void load(", kRowParameters, ") {");
  text.append(loads);
  text.line("    }");
  text.line("  };");
}

void Program::writeRowProgram(Text& text) const {
  text.line("  static __device__ __forceinline__ void rowProgram(", kRowParameters, ") {");
  text.line("    Rows rows;");
  text.line("    rows.load(", kRowArguments, ");");
  text.line("    mapRows(rows, ", kRowArguments, ");");
  text.line("  }");
}

void Program::writeMapRows(Text& text) const {
  text.line("  static __device__ __forceinline__ void mapRows(const Rows& rows, ", kRowParameters,
            ") {");
  if (hasRowProgram())
    text.line("    [[maybe_unused]] float* slots = reinterpret_cast<float*>(", slotBase,
              ") + token;");
  auto argument = [&](int arg) {
    return analysis.scalar(arg) ? scalarExpression(arg) : rowElement(arg);
  };
  for (int index : rowNodes())
    if (plan.nodes[index].kind == Node::Kind::operand)
      text.line("    const ",
                rowArray("(&n" + std::to_string(index) + ")", rowElements(plan.nodes[index].dims)),
                " = rows.n", index, ";");
    else
      writeRowNode(text, index, argument);
  for (const Store& store : stores)
    writeStore(text, store, argument);
  for (size_t i = 0; i < slots.size(); ++i)
    if (!analysis.scalar(slots[i]))
      text.line("    if (lane", rowLanes ? " % " + std::to_string(rowLanes) : "",
                " == 0)\n      slots[", i, " * kBlock] = valid ? n", slots[i], " : 0.0f;");
  text.line("  }");
}

std::string Program::rowElement(int node) const {
  return "n" + std::to_string(node) + (plan.nodes[node].dims.empty() ? "" : "[i]");
}

/// A node that a warp computes of the vectors that it has read.
void Program::writeRowNode(Text& text, int index, const Argument& argument) const {
  const Node& node = plan.nodes[index];
  std::string name = "n" + std::to_string(index);
  bool isVector = !node.dims.empty();
  if (node.dims.size() > 1)
    throw std::invalid_argument("variant '" + plan.variant +
                                "': a value over two dimensions that does not depend on the state "
                                "cannot be computed ahead of it");
  int length = isVector ? rowElements(node.dims) : 0;
  if (node.kind == Node::Kind::map && isVector) {
    text.line("    ", rowArray(name, length), ";");
    text.line("#pragma unroll");
    text.line("    for (int i = 0; i < ", rowCount(length), "; ++i)");
    text.line("      ", name, "[i] = ", mapCode(node, argument), ";");
  } else if (node.kind == Node::Kind::map) {
    text.line("    float ", name, " = ", mapCode(node, argument), ";");
  } else if (node.kind == Node::Kind::sum || node.kind == Node::Kind::max ||
             node.kind == Node::Kind::contract) {
    int over = rowElements({node.name});
    if (over < signature.dims.at(node.name))
      throw std::invalid_argument("variant '" + plan.variant + "' sums over " + node.name +
                                  ": a thread block must hold all " +
                                  std::to_string(signature.dims.at(node.name)) + " columns, not " +
                                  std::to_string(over));
    if (!node.dims.empty())
      throw std::invalid_argument("variant '" + plan.variant + "': a sum over " + node.name +
                                  " that leaves a vector has no kernel");
    std::string value = argument(node.args[0]);
    if (node.kind == Node::Kind::contract)
      value += " * " + argument(node.args[1]);
    bool largest = node.kind == Node::Kind::max;
    text.line("    float ", name, ";");
    writeReduction(text, largest, name, value,
                   rowLanes
                       ? "lane % " + std::to_string(rowLanes) + " * 8 + i < " + std::to_string(over)
                       : "inRow<" + std::to_string(over) + ">(i, lane)",
                   rowCount(over));
    text.line("    ", name, " = warp", largest ? "Max" : "Sum", "<", rowLanes ? rowLanes : 32, ">(",
              name, ");");
  } else {
    throw std::logic_error("row program: unexpected node " + name);
  }
}

void Program::writeStore(Text& text, const Store& store, const Argument& argument) const {
  std::string name = "n" + std::to_string(store.node);
  if (plan.nodes[store.node].dims.empty()) {
    std::string value = argument(store.node);
    name = "spread" + std::to_string(store.node);
    text.line("    ", rowArray(name, store.length), ";");
    text.line("#pragma unroll");
    text.line("    for (int i = 0; i < ", rowCount(store.length), "; ++i)");
    text.line("      ", name, "[i] = ", value, ";");
  }
  if (rowLanes)
    text.line("    storePieces<", store.length, ", ", rowLanes, ">(");
  else
    text.line("    storeRow<", store.length, ", ", store.padded, ", ", store.type, ">(");
  text.line("        ", store.pointer, ", ", name, ", ", signature.dims.at(store.dims[0]), " - ",
            store.first, ", valid, lane);");
}

}  // namespace lathe::cuda
