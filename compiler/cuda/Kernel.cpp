#include "compiler/cuda/Kernel.h"

#include "compiler/plan/Evaluate.h"

#include <stdexcept>

namespace lathe {

const char* name(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return "f32";
  case DType::bf16:
    return "bf16";
  case DType::f16:
    return "f16";
  }
  return "unknown";
}

int bytes(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

const char* name(Form form) {
  switch (form) {
  case Form::portable:
    return "portable";
  case Form::sm90a:
    return "sm_90a";
  case Form::general:
    return "general";
  }
  return "unknown";
}

Form formNamed(const std::string& text) {
  for (Form form : {Form::portable, Form::sm90a, Form::general})
    if (text == name(form))
      return form;
  throw std::invalid_argument("a tile's form is '" + text +
                              "'; it must be portable, sm_90a or general");
}

std::string toString(const Tile& tile) {
  return "c" + std::to_string(tile.chunk) + " b" + std::to_string(tile.block) + " v" +
         std::to_string(tile.blockV) + " s" + std::to_string(tile.stages) + " k" +
         std::to_string(tile.splitK) + " x" + std::to_string(tile.columns) +
         (tile.segments ? " n" + std::to_string(tile.segments) : std::string()) +
         (tile.form == Form::portable ? std::string() : std::string(" ") + name(tile.form));
}

/// Evaluates a node made of literals, dimensions and consts only.
static double evaluate(const Plan& plan, const Signature& signature, int index) {
  const Node& node = plan.nodes[index];
  switch (node.kind) {
  case Node::Kind::constant:
    return node.value;
  case Node::Kind::dimension:
    return signature.dims.at(node.name);
  case Node::Kind::override_:
    return evaluate(plan, signature, node.args.at(0));
  case Node::Kind::map:
    return lathe::evaluate(node.op, evaluate(plan, signature, node.args.at(0)),
                           arity(node.op) == 2 ? evaluate(plan, signature, node.args.at(1)) : 0.0);
  default:
    throw std::invalid_argument("variant '" + plan.variant +
                                "': a const may depend on literals, dimensions and consts only");
  }
}

std::vector<float> defaultConstants(const Plan& plan, const Signature& signature,
                                    const KernelSource& kernel) {
  std::vector<float> values;
  for (int operand : kernel.constants)
    values.push_back(float(evaluate(plan, signature, plan.operands[operand].value)));
  return values;
}

}  // namespace lathe
