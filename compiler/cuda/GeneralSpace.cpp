// The tiles of the general form, and what its states take of a thread's registers.
#include "compiler/cuda/GeneralEmitter.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

/// The dimension whose size bounds `blockV`: the one that is spread, or that of the widest columns.
static std::string columnsOf(const GeneralKernel& kernel) {
  if (!kernel.spread.empty())
    return kernel.spread;
  std::string widest;
  for (const GraphSweep& sweep : kernel.sweeps) {
    const Items items(kernel.graph, sweep, kernel.spread);
    for (int state : sweep.states) {
      const Dims& dims = kernel.plan.operands[state].dims;
      const std::string column = dims.size() > 1 ? items.columnOf(dims)
                                 : dims.empty()  ? std::string()
                                                 : dims[0];
      if (!column.empty() && (widest.empty() || kernel.size(column) > kernel.size(widest)))
        widest = column;
    }
  }
  return widest;
}

int GeneralKernel::heldRegisters() const {
  auto ceilDivide = [](int a, int b) { return (a + b - 1) / b; };
  auto heldBy = [&](const GraphSweep& sweep) {
    const Items items(graph, sweep, spread);
    int sum = 0;
    for (int state : sweep.states) {
      const Dims& dims = plan.operands[state].dims;
      if (dims.size() < 2)
        continue;
      const std::string column = items.columnOf(dims);
      const std::string channel = dims[0] == column ? dims[1] : dims[0];
      sum += ceilDivide(held(channel), tile.splitK) * tile.columns *
             ceilDivide(held(column), threads() / tile.splitK * tile.columns);
    }
    return sum;
  };
  int most = 0;
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    const int own = heldBy(sweeps[i]);
    most = std::max(most, own);
    if (span)
      for (const GraphSweep& replay : replaysOf(sweeps, i, recordColumns))
        most = std::max(most, own + heldBy(replay));
  }
  return most;
}

int generalBlocks(const GeneralKernel& kernel, Family family) {
  if (family != Family::step)
    return 1;
  constexpr int others = 112, file = 65536, granule = 8;
  const int registers = (kernel.heldRegisters() + others + granule - 1) / granule * granule;
  return std::clamp(file / (registers * kernel.threads()), 1, 16);
}

int generalHeld(const Plan& plan, const Signature& signature, const Tile& tile) {
  return GeneralKernel(plan, signature, tile).heldRegisters();
}

std::vector<Tile> generalTiles(const Plan& plan, Family family, const Signature& signature,
                               std::size_t sharedBytes) {
  constexpr int fewestThreads = 64, mostThreads = 512;
  constexpr int splits[][2] = {{4, 4}, {8, 4}, {16, 4}, {8, 2}, {16, 2}, {32, 2}, {32, 1}};
  Tile tile{0, 16, 256, 1, 32, 4, Form::general};
  const GeneralKernel widest(plan, signature, tile);
  const std::string dim = columnsOf(widest);
  int whole = 16;
  while (!dim.empty() && whole < widest.size(dim))
    whole *= 2;
  // States are much to keep for every token.
  std::vector<int> spans = {0};
  for (const auto& [value, place] : widest.record)
    if (widest.graph.values[value].isWide())
      spans = {64, 16};
  std::vector<Tile> tiles;
  for (int span : spans) {
    tile.chunk = span;
    for (tile.blockV = whole; tile.blockV >= 8; tile.blockV /= 2) {
      for (auto [splitK, columns] : splits) {
        tile.splitK = splitK;
        tile.columns = columns;
        const int threads = tile.blockV / columns * splitK;
        if (tile.blockV < columns || threads < fewestThreads || threads > mostThreads)
          continue;
        // As many tokens at a time as there is room for.
        for (int block : {16, 8, 4, 2, 1}) {
          tile.block = block;
          if ((family == Family::step && block > 4) ||
              (block > 1 && emitGeneral(plan, family, signature, tile).sharedBytes > sharedBytes))
            continue;
          tiles.push_back(tile);
          break;
        }
      }
      if (widest.spread.empty())
        break;
    }
  }
  return tiles;
}

}  // namespace lathe::cuda
