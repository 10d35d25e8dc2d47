#include "compiler/cuda/PairedScans.h"
#include "compiler/cuda/ScanEmitter.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

void ScanEmitter::writeConstants(Text& text) const {
  auto constant = [&](const char* name, auto value) {
    text.line("  static constexpr int ", name, " = ", value, ";");
  };
  text.line("  using Element = ", cudaType(signature.compute), ";");
  text.line("  using Gate = ", cudaType(channelGate ? gate.dtype : DType::f32), ";");
  constant("kK", dim(axes.key));
  constant("kPaddedK", paddedK);
  constant("kPitchK", pitch(true, signature.compute));
  constant("kPitchGate", pitch(gate.ofKey, gate.dtype));
  constant("kV", dim(axes.value));
  constant("kBlockV", tile.blockV);
  constant("kPitchV", pitch(false, signature.compute));
  constant("kPitchP", tile.chunk + 16 / bytes(signature.compute));
  constant("kTiles", kernel.tilesPerHead);
  constant("kChunk", tile.chunk);
  constant("kBlock", tile.block);
  constant("kStages", tile.stages);
  constant("kWarps", tile.blockV / 16);
  constant("kThreads", kernel.threads);
  constant("kStageBytes", stageBytes);
  constant("kScoreOffset", scoreOffset);
  constant("kSlotOffset", slotOffset);
  constant("kCumulativeOffset", cumulativeOffset);
  constant("kTotalOffset", totalOffset);
  constant("kOwnOffset", ownOffset);
  constant("kNormaliserOffset", normaliserOffset);
  constant("kOutputs", outputs.size());
  constant("kGateSlot", form.decay == DecayKind::scalar ? program.slot(form.logDecay) : 0);
  constant("kNormaliserLength",
           form.normaliser >= 0 ? (paddedK + 2 * tile.blockV - 1) / (2 * tile.blockV) : 1);
  text.line("  static constexpr Decay kDecay = Decay::", decayName(form), ";");
  constant("kOpposite", form.normaliser >= 0 ? 2 : 1);
  text.line("  static constexpr bool kNormaliser = ", form.normaliser >= 0 ? "true" : "false", ";");
  text.line("  static constexpr bool kReadsBefore = ", form.readsBefore ? "true" : "false", ";");
  text.line("  static constexpr bool kReverse = ", form.reverse ? "true" : "false", ";");
  text.line("  static constexpr bool kRowProgram = ", program.hasRowProgram() ? "true" : "false",
            ";");
  text.line("  static constexpr bool kMirrored = ", part.isReverse ? "true" : "false", ";");
}

void ScanEmitter::writeTiles(Text& text) const {
  auto one = [&](const char* name, const char* type, const Role& role) {
    text.line("  static __device__ __forceinline__ ", type, "* ", name,
              "(char* shared, int stage) {");
    text.line("    return ",
              role.node < 0 ? "nullptr"
                            : tileExpression(role.ofKey, role.dtype, role.offset, role.source >= 0),
              ";");
    text.line("  }");
  };
  one("query", "Element", query);
  one("key", "Element", key);
  one("value", "Element", value);
  one("gate", "Gate", gate);
}

void ScanEmitter::writeCopies(Text& text) const {
  text.line("  struct Copies {");
  Text members, start, issue;
  for (auto [operand, offset] : staged) {
    const char* type = cudaType(signature.dtypes[operand]);
    bool ofKey = isKey(operand);
    int tensor = tensorOf(operand);
    std::string x = std::to_string(operand);
    members.line("    const ", type, "* source", x, ";  // ", plan.operands[operand].name);
    members.line("    int64 stride", x, ";");
    members.line("    int columns", x, ", alignment", x, ";");
    start.line("      source", x, " = args.tensors[", tensor, "].at<const ", type,
               ">(sequence, head) + ", firstColumn(ofKey), ";");
    start.line("      stride", x, " = args.tensors[", tensor, "].stride(sequence);");
    start.line("      columns", x, " = ", dim(plan.operands[operand].dims[0]), " - ",
               firstColumn(ofKey), ";");
    start.line("      alignment", x, " = rowAlignment<", type, ">(args.tensors[", tensor, "]);");
    issue.line("      copyTile<", type, ", kBlock, ", padded(ofKey), ", ",
               pitch(ofKey, signature.dtypes[operand]), ", kThreads>(reinterpret_cast<", type,
               "*>(shared + stage * kStageBytes + ", offset, "), source", x,
               " + int64(firstToken) * stride", x, ", stride", x, ", rows, columns", x,
               ", alignment", x, ", thread);");
  }
  text.append(members);
  text.line("    __device__ __forceinline__ Copies(const Args& args, const Sequence& sequence, int "
            "head, int tile) {");
  text.append(start);
  text.line("    }");
  text.line("    __device__ __forceinline__ void issue(char* shared, int stage, int firstToken, "
            "int rows, "
            "int thread) const {");
  text.append(issue);
  text.line("    }");
  text.line("  };");
}

void ScanEmitter::writeFinish(Text& text) const {
  text.line("  template <int I> static __device__ __forceinline__ float finish(const Args& args, "
            "char* shared, "
            "int stage, int token, int column, int tile, int head, int firstToken, float read) {");
  text.line("    [[maybe_unused]] const float* slots = reinterpret_cast<const float*>(shared + "
            "kSlotOffset) + token;");
  for (size_t i = 0; i < outputs.size(); ++i) {
    text.line("    if constexpr (I == ", i, ") {");
    auto argument = [&](int arg) {
      if (!analysis.stateDependent(arg) && plan.nodes[arg].dims.empty())
        return program.scalarExpression(arg);
      return "n" + std::to_string(arg);
    };
    for (int index : finishNodes(outputs[i])) {
      const Node& node = plan.nodes[index];
      std::string name = "n" + std::to_string(index);
      if (index == form.read) {
        text.line("      float ", name, " = read;");
      } else if (form.readsOpposite(index)) {
        text.line("      float ", name, " = 0.0f;");
      } else if (index == form.normaliserRead) {
        text.line("      float ", name, " = 0.0f;");
        text.line("#pragma unroll");
        text.line("      for (int w = 0; w < kWarps; ++w)");
        text.line(
            "        ", name,
            " += reinterpret_cast<const float*>(shared + kNormaliserOffset)[w * kBlock + token];");
      } else if (!analysis.stateDependent(index) && node.dims.empty()) {
        continue;
      } else if (node.kind == Node::Kind::operand) {
        std::string element = rowExpression(node.operand) + " + column";
        text.line("      float ", name, " = ",
                  plan.operands[node.operand].kind == Operand::Kind::param
                      ? "column < kV - tile * kBlockV ? toFloat(*(" + element + ")) : 0.0f;"
                      : "toFloat(*(" + element + "));");
      } else if (node.kind == Node::Kind::map) {
        text.line("      float ", name, " = ", mapCode(node, argument), ";");
      } else {
        throw std::invalid_argument("scan of '" + plan.variant + "': output '" +
                                    plan.operands[outputs[i]].name +
                                    "' needs more than an elementwise map after the read");
      }
    }
    text.line("      return ", argument(plan.operands[outputs[i]].value), ";");
    text.line("    }");
  }
  text.line("  }");
}

ScanSource ScanEmitter::emit() {
  check();
  kernel.threads = tile.blockV * 2;
  kernel.tilesPerHead = (dim(axes.value) + tile.blockV - 1) / tile.blockV;
  if (kernel.tilesPerHead > 1)
    for (int state : {form.normaliser, form.oppositeNormaliser})
      if (state >= 0)
        kernel.sharedStates.push_back(state);
  assignRoles();
  layOut();
  kernel.sharedBytes = rest.size();
  Text variant;
  writeNumberedTypes(variant, "StateType", signature, states);
  writeNumberedTypes(variant, "OutputType", signature, outputs);
  variant.line("struct Variant {");
  writeConstants(variant);
  writeTiles(variant);
  program.write(variant);
  writeCopies(variant);
  bool keyFirst = plan.operands[form.state].dims[0] == axes.key;
  writeStateAccess(variant, kernel.tensors, states, keyFirst);
  writeOutputAccess(variant, kernel.tensors, outputs);
  writeFinish(variant);
  variant.line("};");
  std::vector<std::string> templates = {
      "templates/kernels/decay.cuh", "templates/kernels/scan_scores.cuh",
      "templates/kernels/scan_values.cuh", "templates/kernels/scan.cuh"};
  if (form.isSum())
    templates.insert(templates.end(),
                     {"templates/kernels/sum_initial.cuh", "templates/kernels/scan_sum.cuh"});
  return {std::move(kernel), templates, std::move(variant), form.isSum() ? "Sum" : "Scan",
          "args, shared"};
}

ScanSource emitPortableScan(const Plan& plan, const Signature& signature, const Tile& tile,
                            const ScanPart& part) {
  return ScanEmitter(plan, signature, tile, part).emit();
}

KernelSource emitScan(const Plan& plan, const Signature& signature, const Tile& tile) {
  if (!plan.scan)
    throw std::invalid_argument("variant '" + plan.variant +
                                "' has no scan form; its family is sequential");
  if (plan.reverseScan)
    return emitPairedScans(plan, signature, tile);
  ScanSource source = tile.form == Form::sm90a ? emitHopperScan(plan, signature, tile)
                                               : emitPortableScan(plan, signature, tile);
  source.kernel.text =
      assemble(plan, source.kernel, source.templates, source.variant,
               "lathe::" + source.type + "<lathe::Variant>{" + source.arguments + "}.run();", 1);
  return std::move(source.kernel);
}

}  // namespace lathe::cuda
