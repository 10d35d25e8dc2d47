#include "compiler/cuda/Program.h"

#include <algorithm>

namespace lathe::cuda {

/// Nodes that share a vector, or a sum over one, are made by the same warp. Scalars of the token
/// are cheap, so that each task makes those that it needs; those that nothing but the state needs
/// are a task together.
std::vector<std::vector<int>> Program::tasks() const {
  std::vector<int> wanted;
  for (const Store& store : stores)
    wanted.push_back(store.node);
  for (int node : slots)
    wanted.push_back(node);
  struct Group {
    std::vector<int> nodes;
    std::set<int> vectors;
  };
  std::vector<Group> groups;
  Group scalars;
  for (int node : wanted) {
    if (analysis.scalar(node)) {
      scalars.nodes.push_back(node);
      continue;
    }
    Group own{{node}, analysis.closure({node}, [&](int n) { return analysis.scalar(n); })};
    std::erase_if(own.vectors, [&](int n) { return analysis.scalar(n); });
    std::erase_if(groups, [&](const Group& other) {
      bool meet = std::any_of(other.vectors.begin(), other.vectors.end(),
                              [&](int n) { return own.vectors.count(n) > 0; });
      if (meet) {
        own.nodes.insert(own.nodes.begin(), other.nodes.begin(), other.nodes.end());
        own.vectors.insert(other.vectors.begin(), other.vectors.end());
      }
      return meet;
    });
    groups.push_back(own);
  }
  std::vector<std::vector<int>> result;
  if (!scalars.nodes.empty())
    result.push_back(scalars.nodes);
  for (const Group& group : groups)
    result.push_back(group.nodes);
  return result;
}

/// An operand as it is in memory, x, and in fp32, n: to convert it is to wait for it.
void Program::writeRead(Text& loads, Text& maps, int index) const {
  const Node& node = plan.nodes[index];
  if (node.dims.empty()) {
    loads.line("    x", index, " = ", scalarOperand(index, "firstToken + token"), ";");
    maps.line("    float n", index, " = toFloat(x", index, ");");
    return;
  }
  int length = rowElements(node.dims);
  loads.line("    readRow<", length, ">(x", index, ", ", rowPointer(node.operand), ", ",
             signature.dims.at(node.dims[0]), " - ", firstElement(node.dims), ", lane);");
  maps.line("    float n", index, "[rowLength<", length, ">];");
  maps.line("#pragma unroll");
  maps.line("    for (int i = 0; i < rowLength<", length, ">; ++i)");
  maps.line("      n", index, "[i] = toFloat(x", index, "[i]);");
}

std::set<int> Program::taskOperands() const {
  std::set<int> result;
  for (const std::vector<int>& made : tasks())
    for (int node : analysis.closure(made, [](int) { return false; }))
      if (plan.nodes[node].kind == Node::Kind::operand)
        result.insert(node);
  return result;
}

int Program::taskRegisters() const {
  int registers = 0;
  for (int node : taskOperands())
    registers += plan.nodes[node].dims.empty() ? 1 : (rowElements(plan.nodes[node].dims) + 31) / 32;
  return registers;
}

void Program::writeTasks(Text& text) const {
  std::vector<std::vector<int>> all = tasks();
  Text loads, maps;
  auto argument = [&](int arg) {
    return isLeafUniform(plan.nodes[arg]) ? scalarExpression(arg) : rowElement(arg);
  };
  for (size_t task = 0; task < all.size(); ++task) {
    const std::vector<int>& made = all[task];
    std::set<int> nodes = analysis.closure(made, [](int) { return false; });
    loads.line("    if (task == ", task, ") {");
    maps.line("    if (task == ", task, ") {");
    for (int index : nodes) {
      const Node& node = plan.nodes[index];
      if (node.kind == Node::Kind::operand)
        writeRead(loads, maps, index);
      else if (node.kind == Node::Kind::position)
        maps.line("    float n", index, " = float(firstToken + token);");
      else if (!isLeafUniform(node))
        writeRowNode(maps, index, argument);
    }
    auto isMade = [&](int node) { return std::count(made.begin(), made.end(), node) > 0; };
    for (const Store& store : stores)
      if (isMade(store.node))
        writeStore(maps, store, argument);
    for (size_t i = 0; i < slots.size(); ++i)
      if (isMade(slots[i]))
        maps.line("    if (lane == 0)\n      slots[", i, " * kBlock] = n", slots[i], ";");
    loads.line("    }");
    maps.line("    }");
  }
  text.line("  static constexpr int kTasks = ", all.size(), ";");
  text.line("  struct Task {");
  for (int index : taskOperands()) {
    const Node& node = plan.nodes[index];
    text.line("    ", cudaType(signature.dtypes[node.operand]), " x", index,
              node.dims.empty() ? ""
                                : "[rowLength<" + std::to_string(rowElements(node.dims)) + ">]",
              ";  // ", plan.operands[node.operand].name);
  }
  text.line("    __device__ __forceinline__ void load(const Args& args, int task, int token, int "
            "tile, const Sequence& sequence, int head, int firstToken, int lane) {");
  text.append(loads);
  text.line("    }");
  text.line("    __device__ __forceinline__ void map(const Args& args, char* shared, int task, int "
            "token, int tile, int firstToken, int lane) {");
  text.line("    [[maybe_unused]] float* slots = reinterpret_cast<float*>(shared + kSlotOffset) "
            "+ token;");
  text.line("    constexpr bool valid = true;");
  text.append(maps);
  text.line("    }");
  text.line("  };");
}

}  // namespace lathe::cuda
