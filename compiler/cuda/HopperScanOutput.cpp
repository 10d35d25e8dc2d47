// What a scan's form for sm_90a makes of what it reads: the row that it writes, and sums over it.
#include "compiler/cuda/HopperScanEmitter.h"

namespace lathe::cuda {

/// The values whose product is summed over the columns in an output.
std::vector<int> HopperScanEmitter::termsOf(int sum) const {
  return plan.nodes[plan.operands[sum].value].args;
}

void HopperScanEmitter::checkSums() const {
  if (sums.empty())
    return;
  if (output < 0)
    refuse("the form for sm_90a writes sums beside rows");
  if (sums.size() > 2)
    refuse("the form for sm_90a writes at most two sums");
  if (form.normaliser >= 0 || together > 1 || channels)
    refuse("the form for sm_90a writes sums in chunks of 64, with no normaliser and no decay of "
           "every channel");
  if (heads == 1 && dim(axes.value) > tile.blockV)
    refuse("the form for sm_90a writes sums over all columns of " + axes.value + " in one block");
  for (int sum : sums)
    if (signature.dtypes[sum] != DType::f32)
      refuse("the form for sm_90a writes sums in f32");
}

/// Whether scores are rounded with the factors of the query in them, rather than what is read
/// multiplied by these. So the scans of queries and keys of a backward pass, whose factors are each
/// other's, round the same scores, and what is summed of both cancels as it should.
bool HopperScanEmitter::hasRowFactor() const {
  return !sums.empty() && !query.factors.empty() && form.decay == DecayKind::scalar;
}

void HopperScanEmitter::writeFinish(Text& text) const {
  auto argument = [&](int node) {
    return factor(node) ? program.scalarExpression(node) : "n" + std::to_string(node);
  };
  auto nodes = [&] {
    for (int index : finishNodes()) {
      const Node& node = plan.nodes[index];
      if (factor(index))
        continue;
      text.line("    [[maybe_unused]] float n", index, " = ",
                form.readsOpposite(index) ? "0.0f"
                : index == form.read      ? "read" + (hasRowFactor() ? "" : times(query.factors))
                : index == form.normaliserRead     ? "normaliser" + times(query.factors)
                : node.kind == Node::Kind::operand ? isValue(index) ? "value" : "gate"
                                                   : mapCode(node, argument),
                ";");
    }
  };
  text.line(
      "  static __device__ __forceinline__ float finish(const Args& args, const float* slots, "
      "float value, float read, float normaliser, float gate = 0.0f) {");
  nodes();
  text.line("    return ", argument(plan.operands[output].value), ";");
  text.line("  }");
  if (sums.empty())
    return;
  text.line("  template <class Add> static __device__ __forceinline__ void addSums(const Args& "
            "args, const float* slots, float value, float read, float gate, Add add) {");
  nodes();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    std::string product;
    for (int term : termsOf(sums[i]))
      product += (product.empty() ? "" : " * ") + argument(term);
    text.line("    add(", i, ", ", product, ");");
  }
  text.line("  }");
}

}  // namespace lathe::cuda
