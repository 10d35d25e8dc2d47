#include "compiler/cuda/Kernel.h"

#include <cmath>
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

std::string toString(const Tile& tile) {
  return "c" + std::to_string(tile.chunk) + " b" + std::to_string(tile.block) + " v" +
         std::to_string(tile.blockV) + " s" + std::to_string(tile.stages) + " k" +
         std::to_string(tile.splitK) + " x" + std::to_string(tile.columns);
}

double apply(Op op, double x, double y) {
  double softplus = std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
  switch (op) {
  case Op::add:
    return x + y;
  case Op::subtract:
    return x - y;
  case Op::multiply:
    return x * y;
  case Op::divide:
    return x / y;
  case Op::negate:
    return -x;
  case Op::minimum:
    return std::fmin(x, y);
  case Op::maximum:
    return std::fmax(x, y);
  case Op::exp:
    return std::exp(x);
  case Op::log:
    return std::log(x);
  case Op::sqrt:
    return std::sqrt(x);
  case Op::rsqrt:
    return 1.0 / std::sqrt(x);
  case Op::abs:
    return std::fabs(x);
  case Op::tanh:
    return std::tanh(x);
  case Op::sigmoid:
    return 1.0 / (1.0 + std::exp(-x));
  case Op::logsigmoid:
    return x - softplus;
  case Op::softplus:
    return softplus;
  case Op::relu:
    return std::fmax(x, 0.0);
  case Op::silu:
    return x / (1.0 + std::exp(-x));
  case Op::elu:
    return x > 0 ? x : std::expm1(x);
  }
  throw std::logic_error("unknown operation");
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
    return apply(node.op, evaluate(plan, signature, node.args.at(0)),
                 node.args.size() > 1 ? evaluate(plan, signature, node.args[1]) : 0.0);
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
