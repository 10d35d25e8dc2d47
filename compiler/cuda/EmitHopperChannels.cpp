// The form for sm_90a of a scan with a decay of every channel of K: what
// templates/kernels/scan_sm90_channels.cuh needs beside what the form needs of every scan.
#include "compiler/cuda/HopperScanEmitter.h"

namespace lathe::cuda {

static constexpr int parts = hopperChunk / 16;  ///< Of a chunk, a warp each.
static constexpr int outputTokens = 16;         ///< That a warp writes at a time.

/// The input that the gates of every channel are.
int HopperScanEmitter::gateOperand() const {
  const Node& node = plan.nodes[form.logDecay];
  if (node.kind != Node::Kind::operand || !axes.isKey(node.dims) ||
      plan.operands[node.operand].kind != Operand::Kind::input ||
      signature.dtypes[node.operand] == DType::f32)
    refuse("in the form for sm_90a the decay of every channel must be an input in bf16 or f16");
  return node.operand;
}

void HopperScanEmitter::layOutChannels(SharedLayout& room) {
  const std::size_t channels = std::size_t(keyPanels) * panelColumns;
  constexpr std::size_t factorBytes = 20;  // WideChunks::Factors
  constexpr int outputRow = 32;
  outputOffset = room.take(std::size_t(tile.blockV / 16) * outputTokens * outputRow);
  factorOffset = room.take(parts * (channels / 2) * factorBytes);
  partOffset = room.take(parts * channels * (sizeof(float) + 2));
  decayOffset = room.take(5 * channels * sizeof(float) + std::size_t(2) * keyPanels * sizeof(int));
}

void HopperScanEmitter::writeChannelConstants(Text& text) const {
  auto constant = [&](const char* name, int number) {
    text.line("  static constexpr int ", name, " = ", number, ";");
  };
  // Up to five warpgroups: one copies, one decays each panel, one or two hold the state.
  const int groups = tile.blockV / panelColumns;
  const bool five = keyPanels + groups == 4, narrow = groups == 1 && !five;
  constant("kOutputTokens", outputTokens);
  constant("kLoadRegisters", narrow ? 48 : 32);
  constant("kScoreRegisters", five ? 80 : narrow ? 128 : 120);
  constant("kStateRegisters", groups == 1 ? 208 : five ? 144 : 176);
  constant("kGateOffset", gateOffset);
  constant("kPartOffset", partOffset);
  constant("kDecayOffset", decayOffset);
  text.line("  using Gate = ", cudaType(signature.dtypes[gate]), ";");
  text.line("  static constexpr bool kReadsBefore = ", form.readsBefore ? "true" : "false", ";");
}

}  // namespace lathe::cuda
