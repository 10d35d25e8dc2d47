#include "compiler/cuda/PairedScans.h"

#include <algorithm>

namespace lathe::cuda {

namespace {

/// A plan with one of the scans alone.
struct Half {
  Plan plan;
  Signature signature;
  ScanPart part;
};

int outputOf(const Plan& plan) {
  const auto found = std::find_if(plan.operands.begin(), plan.operands.end(),
                                  [](const Operand& o) { return o.kind == Operand::Kind::output; });
  return int(found - plan.operands.begin());
}

/// Writes what it reads.
Half firstOf(const Plan& plan, const Signature& signature) {
  Half half{plan, signature, {.isPair = true, .output = outputOf(plan)}};
  half.plan.reverseScan.reset();
  half.plan.operands[half.part.output].value = plan.scan->read;
  return half;
}

/// Has that for an input, in the place of the read.
Half secondOf(const Plan& plan, const Signature& signature) {
  const int output = outputOf(plan);
  Half half{plan, signature, {.isPair = true, .isReverse = true, .output = output}};
  half.part.written = int(plan.operands.size());
  half.plan.scan = plan.reverseScan;
  half.plan.reverseScan.reset();
  Operand written = plan.operands[output];
  written.kind = Operand::Kind::input;
  written.name += ", forward";
  written.value = -1;
  half.plan.operands.push_back(written);
  half.signature.dtypes.push_back(signature.dtypes[output]);
  Node node;
  node.kind = Node::Kind::operand;
  node.operand = half.part.written;
  node.dims = written.dims;
  half.plan.nodes[plan.scan->read] = node;
  return half;
}

}  // namespace

std::vector<KernelSource::Slot> tensorSlots(const Plan& plan, const ScanPart& part) {
  std::vector<KernelSource::Slot> slots = tensorSlots(plan);
  std::erase_if(slots,
                [&](const KernelSource::Slot& slot) { return slot.operand == part.written; });
  return slots;
}

int tensorIndex(const std::vector<KernelSource::Slot>& slots, int operand, const ScanPart& part) {
  return tensorIndex(slots, operand == part.written ? part.output : operand);
}

KernelSource emitPairedScans(const Plan& plan, const Signature& signature, const Tile& tile) {
  const bool isHopper = tile.form == Form::sm90a;
  const auto emitHalf = [&](const Half& half) {
    return (isHopper ? emitHopperScan : emitPortableScan)(half.plan, half.signature, tile,
                                                          half.part);
  };
  const Half halves[] = {firstOf(plan, signature), secondOf(plan, signature)};
  const ScanSource first = emitHalf(halves[0]), second = emitHalf(halves[1]);
  KernelSource kernel = first.kernel;
  kernel.sharedBytes = std::max(first.kernel.sharedBytes, second.kernel.sharedBytes);
  Text variants;
  const auto run = [&](const char* space, const ScanSource& source) {
    variants.line("namespace ", space, " {");
    variants.append(source.variant);
    variants.line("}  // namespace ", space);
    return "lathe::" + source.type + "<lathe::" + space + "::Variant>{" + source.arguments +
           "}.run();";
  };
  const std::string forward = run("forward", first), reverse = run("reverse", second);
  // Where sequences have segments, the blocks of the second are behind those of the first.
  const std::string call =
      isHopper ? "if (blockIdx.x < gridDim.x / 2)\n    " + forward + "\n  else\n    " + reverse
               : forward + "\n  __syncthreads();\n  " + reverse;
  kernel.text = assemble(plan, kernel, first.templates, variants, call, 1);
  return kernel;
}

}  // namespace lathe::cuda
