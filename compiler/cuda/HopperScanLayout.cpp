// Where everything lies in the shared memory of a scan's form for sm_90a, and who has how many of a
// multiprocessor's registers.
#include "compiler/cuda/HopperScanEmitter.h"
#include "compiler/cuda/Segments.h"

#include <algorithm>

namespace lathe::cuda {

void HopperScanEmitter::layOut() {
  constexpr int panel = hopperChunk * panelColumns * 2, period = 1024;
  constexpr int factorBytes = (4 * hopperChunk + 4) * int(sizeof(float));  // Factors
  int groups = tile.blockV / panelColumns;
  SharedLayout room;
  gateOffset = panel * (2 * keyPanels + groups);
  stageBytes = gateOffset + (channels          ? gateTile() + extraBytes
                             : outputGate >= 0 ? panel * groups
                                               : 0);
  const int ofUpdate = together * (together + 1) / 2;
  const int slots = std::max(channels ? 0 : 1, program.slotCount());
  // In turns, where they fit; a normaliser has one read for each chunk of an update.
  auto size = [&](int buffers) {
    return tile.stages * (stageBytes + heads * (factorBytes + 4 * hopperChunk * slots)) +
           buffers * ofUpdate * heads * panel + 4 * period;
  };
  scoreBuffers = together > 1 && (form.normaliser >= 0 || size(2) > mostShared) ? 1 : 2;
  scoreTiles = ofKeys ? keyPanels : scoreBuffers * ofUpdate;
  room.take(std::size_t(stageBytes) * tile.stages);
  scoreOffset = room.take(std::size_t(scoreTiles) * heads * panel);
  if (channels) {
    layOutChannels(room);
  } else {
    outputOffset = together > 1 ? 0 : room.take(std::size_t(groups) * panel);
    factorOffset = room.take(std::size_t(factorBytes) * tile.stages * heads);
  }
  slotOffset = room.take(sizeof(float) * tile.stages * heads * hopperChunk * slots);
  // HopperNormaliser::Room, ChannelNormaliser
  const int numbers = channels ? (6 * panelColumns + 2 * hopperChunk) * keyPanels
                               : 3 * dim(axes.key) + 5 * hopperChunk;
  normaliserOffset = room.take(form.normaliser < 0 ? 0 : sizeof(float) * numbers);
  // HopperScan::sumsOf
  sumOffset = room.take(sizeof(float) * 2 * sums.size() * 4 * groups * hopperChunk);
  barrierOffset = room.take(sizeof(std::uint64_t) * (4 * tile.stages + 2 * scoreTiles));
  // The driver aligns shared memory to less than the period of the swizzle.
  kernel.sharedBytes = room.size() + period - 128;
  kernel.threads = 128 * (1 + groups + (ofKeys ? keyPanels : 1));
  kernel.headsOfBlock = heads;
  kernel.tilesPerHead = heads > 1 ? 1 : (dim(axes.value) + tile.blockV - 1) / tile.blockV;
  if (kernel.tilesPerHead > 1)
    for (int state : {form.normaliser, form.oppositeNormaliser})
      if (state >= 0)
        kernel.sharedStates.push_back(state);
  kernel.segmenting = {tile.chunk, tile.segments,
                       segmentRoom(keyPanels * panelColumns * tile.blockV,
                                   channels && !ofKeys ? tile.blockV
                                   : channels
                                       ? keyPanels * panelColumns * (form.normaliser >= 0 ? 2 : 1)
                                   : form.normaliser >= 0 ? dim(axes.key)
                                                          : 0),
                       form.isSum(), part.isPair};
}

/// Less to those who copy than to those who hold the state. No default tile of the library spills
/// (docs/performance.md): the scalars of a token are the work of a warp that copies, a normaliser's
/// reads that of the scores, and an output's gate is read by the warpgroups of the state.
void HopperScanEmitter::writeRegisters(Text& text) const {
  struct Registers {
    int load, score, state;
  };
  const bool narrow = tile.blockV == panelColumns, gate = outputGate >= 0;
  const bool inPlace = form.decay == DecayKind::none && key.factors.empty() &&
                       value.factors.empty();  // HopperScan::kValuesInPlace
  const Registers registers = narrow         ? Registers{72, 152, dim(axes.key) > 128 ? 248 : 232}
                              : together > 1 ? Registers{40, 88, 192}
                              : form.normaliser >= 0
                                  ? (inPlace ? Registers{48, 104, 176} : Registers{56, 88, 184})
                              : !sums.empty()      ? Registers{56, 104, 176}
                              : form.reverse       ? Registers{64, 80, 184}
                              : gate && heads == 1 ? Registers{40, 88, 192}
                              : gate               ? Registers{56, 88, 184}
                                                   : Registers{48, 80, 192};
  text.line("  static constexpr int kLoadRegisters = ", registers.load, ";");
  text.line("  static constexpr int kScoreRegisters = ", registers.score, ";");
  text.line("  static constexpr int kStateRegisters = ", registers.state, ";");
}

}  // namespace lathe::cuda
