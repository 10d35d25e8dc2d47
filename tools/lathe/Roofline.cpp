#include "tools/lathe/Roofline.h"

#include "tools/lathe/ProgramCost.h"

#include <algorithm>
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

TokenCost costOf(const Plan& plan, const reference::Program& token,
                 const reference::Program* chunked, const Signature& signature, int chunk) {
  const auto elementBytes = [&](const std::string& name) {
    for (std::size_t i = 0; i < plan.operands.size(); ++i)
      if (plan.operands[i].name == name)
        return bytes(signature.dtypes.at(i));
    throw std::invalid_argument("variant " + plan.variant + " has no operand '" + name + "'");
  };
  for (const std::string& dim : plan.dims)
    sizeOf({dim}, signature);
  return {bytesOf(token, signature.dims, elementBytes), flopOf(token, signature.dims, 1),
          chunked ? flopOf(*chunked, signature.dims, chunk) : 0};
}

}  // namespace

TokenCost tokenCost(const CompiledVariant& variant, const Signature& signature, int chunk) {
  return costOf(variant.plan, variant.normal.program,
                variant.chunk ? &variant.chunk->program : nullptr, signature, chunk);
}

TokenCost gradientCost(const CompiledVariant& variant, const Signature& signature, int chunk) {
  return costOf(variant.plan, variant.gradient.program,
                variant.chunkGradient ? &variant.chunkGradient->program : nullptr, signature,
                chunk);
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
