// Programs of scalars of the token: the Variant for templates/kernels/scalars.cuh.
#include "compiler/cuda/Families.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

namespace {

using Kind = Operand::Kind;
using Role = KernelSource::Slot::Role;

class ScalarsEmitter {
public:
  ScalarsEmitter(const Plan& plan, const Signature& signature)
      : plan(plan), signature(signature), analysis(plan) {
    kernel.entry = "lathe_scalars_" + plan.variant;
    kernel.tensors = tensorSlots(plan);
    kernel.constants = constantOperands(plan);
    kernel.threads = threads;
    findSums();
    kernel.sharedBytes = sizeof(float) * (threads / 32) * std::max<std::size_t>(2, totals.size());
  }

  KernelSource emit() {
    Text text;
    text.line("struct Variant {");
    text.line("  static constexpr bool kCumulative = ", cumulative >= 0 ? "true" : "false", ";");
    text.line("  static constexpr int kTotals = ", totals.size(), ";");
    writeLoads(text, Kind::input);
    writeLoads(text, Kind::param);
    writeEnd(text, "start", Role::initial);
    writeEnd(text, "end", Role::final);
    writeOwn(text);
    writeFinish(text);
    writeTotal(text);
    text.line("};");
    kernel.text = assemble(plan, kernel, {"templates/kernels/scalars.cuh"}, text,
                           "lathe::ScalarSums<lathe::Variant, " + std::to_string(threads) +
                               ", 4>{args, reinterpret_cast<float*>(shared)}.run();",
                           1);
    return kernel;
  }

private:
  static constexpr int threads = 512;

  [[noreturn]] void refuse(const std::string& why) const {
    throw std::invalid_argument("scalars of '" + plan.variant + "': " + why);
  }

  /// What a state adds a token, or -1 for nothing.
  int incrementOf(int state) const {
    const int value = plan.operands[state].value;
    const Node& node = plan.nodes[value];
    auto isState = [&](int index) {
      return plan.nodes[index].kind == Node::Kind::state && plan.nodes[index].operand == state;
    };
    if (isState(value))
      return -1;
    if (node.kind == Node::Kind::map && node.op == Op::add)
      for (int i : {0, 1})
        if (isState(node.args[i]))
          return node.args[1 - i];
    refuse("the state " + plan.operands[state].name + " is no sum over tokens");
  }

  void findSums() {
    for (const Operand& operand : plan.operands)
      if (!operand.dims.empty())
        refuse(operand.name + " is over " + operand.dims[0]);
    for (int at = 0; at < int(plan.operands.size()); ++at) {
      if (plan.operands[at].kind != Kind::state)
        continue;
      if (!plan.operands[at].reverse)
        refuse("the state " + plan.operands[at].name + " goes forward");
      if (!isRead(at))
        totals.push_back(at);
      else if (cumulative >= 0)
        refuse("two sums over later tokens are read");
      else
        cumulative = at;
    }
    if (cumulative >= 0 && incrementOf(cumulative) >= 0 &&
        analysis.stateDependent(incrementOf(cumulative)))
      refuse("a sum over later tokens is made of sums");
  }

  /// Whether more than its own update takes a state.
  bool isRead(int state) const {
    const int value = plan.operands[state].value;
    const auto isOwn = [&](int index) {
      return index == value ||
             (plan.nodes[index].kind == Node::Kind::state && plan.nodes[index].operand == state);
    };
    for (int index = 0; index < int(plan.nodes.size()); ++index)
      if (index != value &&
          std::any_of(plan.nodes[index].args.begin(), plan.nodes[index].args.end(), isOwn))
        return true;
    return std::any_of(plan.operands.begin(), plan.operands.end(), [&](const Operand& operand) {
      return &operand != &plan.operands[state] && operand.value >= 0 && isOwn(operand.value);
    });
  }

  std::string tensor(int operand, Role role = Role::operand) const {
    return "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand, role)) + "]";
  }

  void writeLoads(Text& text, Kind kind) const {
    const bool isParam = kind == Kind::param;
    Text fields, loads;
    for (int index = 0; index < int(plan.nodes.size()); ++index) {
      const Node& node = plan.nodes[index];
      if (node.kind != Node::Kind::operand || plan.operands[node.operand].kind != kind)
        continue;
      const std::string type = cudaType(signature.dtypes[node.operand]);
      const std::string from = tensor(node.operand);
      fields.line("    ", type, " n", index, ";  // ", plan.operands[node.operand].name);
      if (isParam)
        loads.line("      n", index, " = *", from, ".at<const ", type, ">(0, head);");
      else
        loads.line("      n", index, " = valid ? ", from, ".at<const ", type,
                   ">(sequence, head)[int64(token) * ", from, ".token] : ", type, "{};");
    }
    text.line("  struct ", isParam ? "Params" : "Inputs", " {");
    text.append(fields);
    text.line("    __device__ __forceinline__ void load(const Args& args, ",
              isParam ? "int head) {"
                      : "const Sequence& sequence, int head, int token, bool valid) {");
    text.append(loads);
    text.line("    }\n  };");
  }

  /// The sum over later tokens behind the last token, and where it has to arrive.
  void writeEnd(Text& text, const char* name, Role role) const {
    text.line("  static __device__ __forceinline__ float ", name,
              "(const Args& args, const Sequence& sequence, int head) {");
    if (cumulative < 0) {
      text.line("    return 0.0f;");
    } else {
      const std::string type = cudaType(signature.dtypes[cumulative]);
      text.line("    const ", type, "* from = ", tensor(cumulative, role), ".stateAt<const ", type,
                ">(sequence, head);");
      text.line("    return from ? toFloat(*from) : 0.0f;");
    }
    text.line("  }");
  }

  std::string argument(int index) const {
    const Node& node = plan.nodes[index];
    switch (node.kind) {
    case Node::Kind::constant:
      return literal(node.value);
    case Node::Kind::dimension:
      return literal(signature.dims.at(node.name));
    case Node::Kind::override_:
      return "args.constants[" + std::to_string(constantIndex(kernel, node.operand)) + "]";
    default:
      return "x" + std::to_string(index);
    }
  }

  /// Everything that `roots` are made of, up to the sum over later tokens.
  void writeNodes(Text& text, const std::vector<int>& roots) const {
    const int sum = cumulative < 0 ? -1 : plan.operands[cumulative].value;
    for (int index : analysis.closure(roots, [&](int n) { return n == sum; })) {
      const Node& node = plan.nodes[index];
      const std::string name = "    const float x" + std::to_string(index) + " = ";
      if (index == sum)
        text.line(name, "later;");
      else if (node.kind == Node::Kind::state && node.operand == cumulative)
        refuse("a sum over later tokens is read before its own token");
      else if (node.kind == Node::Kind::operand)
        text.line(name, "toFloat(",
                  plan.operands[node.operand].kind == Kind::param ? "params.n" : "inputs.n", index,
                  ");");
      else if (node.kind == Node::Kind::position)
        text.line(name, "float(token);");
      else if (node.kind == Node::Kind::map)
        text.line(name, mapCode(node, [&](int arg) { return argument(arg); }), ";");
      else if (!isLeafUniform(node))
        refuse("node " + std::to_string(index) + " is no map of scalars");
    }
  }

  void writeOwn(Text& text) const {
    text.line("  static __device__ __forceinline__ float own(const Args& args, const Inputs& "
              "inputs, const Params& params, int token) {");
    const int increment = cumulative < 0 ? -1 : incrementOf(cumulative);
    if (increment >= 0)
      writeNodes(text, {increment});
    text.line("    return ", increment >= 0 ? argument(increment) : "0.0f", ";");
    text.line("  }");
  }

  void writeFinish(Text& text) const {
    text.line("  template <class Add> static __device__ __forceinline__ void finish(const Args& "
              "args, const Inputs& inputs, const Params& params, const Sequence& sequence, int "
              "head, int token, float later, Add add) {");
    std::vector<int> roots;
    Text writes;
    for (int at = 0; at < int(plan.operands.size()); ++at) {
      const Operand& operand = plan.operands[at];
      if (operand.kind != Kind::output)
        continue;
      roots.push_back(operand.value);
      const std::string type = cudaType(signature.dtypes[at]), to = tensor(at);
      writes.line("    ", to, ".at<", type, ">(sequence, head)[int64(token) * ", to,
                  ".token] = fromFloat<", type, ">(", argument(operand.value), ");");
    }
    for (std::size_t i = 0; i < totals.size(); ++i)
      if (const int increment = incrementOf(totals[i]); increment >= 0) {
        roots.push_back(increment);
        writes.line("    add(", i, ", ", argument(increment), ");");
      }
    writeNodes(text, roots);
    text.append(writes);
    text.line("  }");
  }

  void writeTotal(Text& text) const {
    text.line("  static __device__ __forceinline__ void writeTotal(const Args& args, int index, "
              "const Sequence& sequence, int head, float sum) {");
    for (std::size_t i = 0; i < totals.size(); ++i) {
      const std::string type = cudaType(signature.dtypes[totals[i]]);
      text.line("    if (index == ", i, ")");
      text.line("      if (", type, "* to = ", tensor(totals[i], Role::final), ".stateAt<", type,
                ">(sequence, head))");
      text.line("        *to = fromFloat<", type, ">(sum);");
    }
    text.line("  }");
  }

  const Plan& plan;
  const Signature& signature;
  const Analysis analysis;
  KernelSource kernel;
  int cumulative = -1;      ///< The state that is a sum over later tokens, or -1.
  std::vector<int> totals;  ///< States whose final value alone matters.
};

}  // namespace

KernelSource emitScalars(const Plan& plan, const Signature& signature) {
  checkSignature(plan, signature);
  return ScalarsEmitter(plan, signature).emit();
}

}  // namespace lathe::cuda
