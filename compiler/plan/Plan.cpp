#include "compiler/plan/Plan.h"

namespace lathe {

/// Up to this many tokens the step family, which keeps the state in place, beats every chunked
/// form.
static constexpr long long maxStepTokens = 8;

Family Plan::family(long long tokens) const {
  if (tokens <= maxStepTokens)
    return Family::step;
  return scan ? Family::scan : Family::sequential;
}

std::vector<int> ScanForm::states() const {
  std::vector<int> found;
  for (int each : {state, normaliser, opposite, oppositeNormaliser})
    if (each >= 0)
      found.push_back(each);
  return found;
}

bool ScanForm::readsOpposite(int node) const {
  return node >= 0 && (node == oppositeRead || node == oppositeNormaliserRead);
}

bool ScanForm::reads(int node) const {
  return node >= 0 && (node == read || node == normaliserRead || readsOpposite(node));
}

const char* name(Op op) {
  switch (op) {
  case Op::add:
    return "add";
  case Op::subtract:
    return "subtract";
  case Op::multiply:
    return "multiply";
  case Op::divide:
    return "divide";
  case Op::negate:
    return "negate";
  case Op::minimum:
    return "minimum";
  case Op::maximum:
    return "maximum";
  case Op::exp:
    return "exp";
  case Op::log:
    return "log";
  case Op::sqrt:
    return "sqrt";
  case Op::rsqrt:
    return "rsqrt";
  case Op::abs:
    return "abs";
  case Op::tanh:
    return "tanh";
  case Op::sigmoid:
    return "sigmoid";
  case Op::logsigmoid:
    return "logsigmoid";
  case Op::softplus:
    return "softplus";
  case Op::relu:
    return "relu";
  case Op::silu:
    return "silu";
  case Op::elu:
    return "elu";
  case Op::sin:
    return "sin";
  case Op::cos:
    return "cos";
  case Op::step:
    return "step";
  }
  return "unknown";
}

const char* name(Family family) {
  switch (family) {
  case Family::scan:
    return "scan";
  case Family::step:
    return "step";
  case Family::sequential:
    return "sequential";
  }
  return "unknown";
}

}  // namespace lathe
