#include "tools/lathe/Roofline.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace lathe::tool {

namespace {

double sizeOf(const std::vector<std::string>& dims, const Signature& signature) {
  double size = 1;
  for (const std::string& dim : dims) {
    const auto found = signature.dims.find(dim);
    if (found == signature.dims.end())
      throw std::invalid_argument("the size of dimension " + dim + " is missing");
    size *= found->second;
  }
  return size;
}

bool isStream(const Operand& operand) {
  return operand.kind == Operand::Kind::input || operand.kind == Operand::Kind::output;
}

double contractFlop(const Plan& plan, const Node& node, const Signature& signature) {
  std::set<std::string> dims;
  for (int argument : node.args)
    dims.insert(plan.nodes[argument].dims.begin(), plan.nodes[argument].dims.end());
  return 2 * sizeOf({dims.begin(), dims.end()}, signature);
}

double affineFlop(const Plan& plan, const Recurrence& recurrence, const Signature& signature) {
  const double decay = recurrence.logDecays.empty() ? 0 : 1;
  return sizeOf(plan.operands[recurrence.state].dims, signature) *
         (decay + 4 * double(recurrence.rank1.size()) + 2 * double(recurrence.outer.size()));
}

double flopOf(const Plan& plan, const Node& node, const Signature& signature) {
  switch (node.kind) {
  case Node::Kind::map:
    return sizeOf(node.dims, signature);
  case Node::Kind::sum:
  case Node::Kind::max:
    return sizeOf(plan.nodes[node.args[0]].dims, signature);
  case Node::Kind::contract:
    return contractFlop(plan, node, signature);
  case Node::Kind::affine:
    return affineFlop(plan, plan.recurrences[node.affine], signature);
  default:
    return 0;
  }
}

}  // namespace

TokenCost tokenCost(const Plan& plan, const Signature& signature, int chunk) {
  TokenCost cost;
  for (std::size_t i = 0; i < plan.operands.size(); ++i)
    if (isStream(plan.operands[i]))
      cost.bytes += sizeOf(plan.operands[i].dims, signature) * bytes(signature.dtypes.at(i));
  double maps = 0;
  for (const Node& node : plan.nodes) {
    const double flop = flopOf(plan, node, signature);
    cost.flop += flop;
    if (node.kind != Node::Kind::contract && node.kind != Node::Kind::affine)
      maps += flop;
  }
  if (plan.scan) {
    // Read and update of the state; then the scores and their product with the values, of which
    // the causal half is needed.
    const double k = signature.dims.at(plan.scan->keyDim),
                 v = signature.dims.at(plan.scan->valueDim) + (plan.scan->normaliser >= 0 ? 1 : 0);
    cost.chunkFlop = maps + 4 * k * v + (chunk + 1) * (k + v);
  }
  return cost;
}

double stateBytes(const Plan& plan, const Signature& signature) {
  double total = 0;
  for (std::size_t i = 0; i < plan.operands.size(); ++i)
    if (plan.operands[i].kind == Operand::Kind::state)
      total += sizeOf(plan.operands[i].dims, signature) * bytes(signature.dtypes.at(i));
  return total;
}

double minBytes(const Plan& plan, const Signature& signature, const Shape& shape,
                const std::map<std::string, int>& heads, StateTraffic states) {
  const double batch = double(shape.batch), all = double(shape.heads);
  double total = 0;
  for (std::size_t i = 0; i < plan.operands.size(); ++i) {
    const Operand& operand = plan.operands[i];
    const double element = bytes(signature.dtypes.at(i));
    const auto fewer = heads.find(operand.name);
    const double own = fewer == heads.end() ? all : fewer->second;
    if (isStream(operand))
      total += batch * double(shape.tokens) * own * sizeOf(operand.dims, signature) * element;
    else if (operand.kind == Operand::Kind::param)
      total += all * sizeOf(operand.dims, signature) * element;
  }
  const int passes = int(states.isRead) + int(states.isWritten);
  return total + passes * batch * all * stateBytes(plan, signature);
}

const Board& boardOf(const std::string& arch) {
  static const std::vector<Board> boards = {
      {"A100 80GB", "sm_80", 2039, 312}, {"A40", "sm_86", 696, 149.7},
      {"L40S", "sm_89", 864, 362},       {"H200", "sm_90a", 4260, 790, true},
      {"B200", "sm_100", 8000, 2250},    {"RTX 5090", "sm_120", 1792, 209.5},
  };
  std::string known;
  for (const Board& board : boards) {
    if (board.arch == arch)
      return board;
    known += (known.empty() ? "" : ", ") + board.arch;
  }
  throw std::invalid_argument("architecture '" + arch + "' is not known; known are " + known);
}

double rooflineSeconds(const Board& board, const Signature& signature, double bytes, double flop) {
  const double peak = board.teraflops * 1e12 / (signature.compute == DType::f32 ? 2 : 1);
  return std::max(bytes / (board.copyGBps * 1e9), flop / peak);
}

}  // namespace lathe::tool
