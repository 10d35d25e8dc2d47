#include "compiler/cuda/Space.h"

#include "compiler/cuda/Families.h"
#include "compiler/cuda/Segments.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <stdexcept>

namespace lathe {

Device knownDevice(const std::string& arch) {
  constexpr std::size_t kib = 1024, small = 99 * kib, ampere = 163 * kib, hopper = 227 * kib;
  static const std::vector<Device> known = {
      {"sm_80", 108, ampere, ampere + kib, 65536},  {"sm_86", 84, small, small + kib, 65536},
      {"sm_89", 128, small, small + kib, 65536},    {"sm_90a", 132, hopper, hopper + kib, 65536},
      {"sm_100", 148, hopper, hopper + kib, 65536}, {"sm_120", 170, small, small + kib, 65536},
  };
  std::string names;
  for (const Device& device : known) {
    if (device.arch == arch)
      return device;
    names += (names.empty() ? "" : ", ") + device.arch;
  }
  throw std::invalid_argument("architecture '" + arch + "' is not known; known are " + names);
}

namespace {

/// What a tile costs by the model; `cycles` is the time of one token of every head, in cycles of
/// one multiprocessor.
struct Cost {
  int registers = 0;
  double cycles = 0;
};

int ceilDivide(long long a, long long b) { return int((a + b - 1) / b); }

/// Thread blocks that share a multiprocessor, and how often all of it has to be filled.
struct Occupancy {
  int resident = 0, waves = 0;
};

Occupancy occupancy(const KernelSource& kernel, int registers, const Device& device,
                    long long batchHeads) {
  long long total = batchHeads * kernel.tilesPerHead;
  int byShared = int(device.sharedPerMultiprocessor / (kernel.sharedBytes + 1024));
  int byRegisters = device.registersPerMultiprocessor / (registers * kernel.threads);
  int byThreads = 2048 / kernel.threads;
  int most = std::max(1, std::min({byShared, byRegisters, byThreads, 32}));
  int resident = std::min(most, std::max(1, ceilDivide(total, device.multiprocessors)));
  return {resident, ceilDivide(total, (long long)device.multiprocessors * resident)};
}

/// Instructions of the tensor cores at the rate at which warps get them through, the barriers of a
/// block, and what a load that nothing hides costs. Fitted to an H200 at K = V = 128, within 15 %
/// (docs/performance.md).
Cost scanCost(const Plan& plan, const Signature& signature, const Tile& tile,
              const KernelSource& kernel, const Device& device, long long batchHeads) {
  constexpr double issue = 4.9, chunkStart = 190, barriers = 2470, channelBarriers = 4200,
                   channelWork = 8800, exposedLoad = 1640,
                   valueWork = 600;  // Reckoned: instructions of a channel of V at full rate.
  bool channels = plan.scan->decay == DecayKind::vector;
  int k = (signature.dims.at(plan.scan->keyDim) + 15) / 16, chunk = tile.chunk / 16,
      warps = tile.blockV / 16;
  int width = signature.compute == DType::f32 ? 2 : 1;
  double perWarp = 4.0 * k * chunk + chunk * (chunk + 1);
  bool ofKeys = channels && plan.scan->decaySide == Side::key;
  double scores = ofKeys ? 0 : double(k) * chunk * (chunk + 1);
  Cost cost;
  cost.registers = 8 * k + 8 * chunk + 72;
  Occupancy fit = occupancy(kernel, std::min(cost.registers, 255), device, batchHeads);
  double perChunk = chunkStart + fit.resident * width * (warps * perWarp + scores) * issue +
                    (!channels ? 0
                     : ofKeys  ? channelWork * (k / 8.0) / warps
                               : fit.resident * valueWork);
  int chunks = tile.block / tile.chunk;
  double perBlock = (channels ? channelBarriers : barriers) + chunks * perChunk +
                    (tile.stages == 1 ? exposedLoad / fit.resident : 0);
  cost.cycles = fit.waves * perBlock / tile.block;
  return cost;
}

/// The form for sm_90a: a multiprocessor holds one block, whose warpgroups overlap, and a chunk
/// takes as long as they wait for each other; with all multiprocessors at work they wait for
/// memory, too. Fitted to an H200 at K = V = 128.
Cost hopperScanCost(const Plan& plan, const Signature& signature, const Tile& tile,
                    const KernelSource& kernel, const Device& device, long long batchHeads) {
  constexpr double chunkStart = 600, perKey = 720, perValue = 2050, traffic = 500, shallow = 350,
                   perGate = 2550, perValueGate = 1450, together = 100, togetherShallow = 1100,
                   togetherScores = 1400;
  double k = signature.dims.at(plan.scan->keyDim) / 128.0, v = tile.blockV / 128.0;
  // What the warpgroup of the scores does for each chunk, in which two chunks at once add another.
  const int scores = kernel.headsOfBlock + (plan.scan->normaliser >= 0 ? 1 : 0);
  constexpr std::int64_t chunks = 1024;  // Of a long sequence; how long, the launch knows.
  std::int64_t heads = batchHeads / kernel.headsOfBlock * kernel.tilesPerHead;
  auto timeOf = [&](int most) {
    Segmenting segmenting = kernel.segmenting;
    segmenting.most = most;
    int segments = segmentsFor(segmenting, heads, chunks * tile.chunk, device.multiprocessors);
    return segmentedTime(heads, chunks, segments, device.multiprocessors) / chunks;
  };
  // A number is worth trying where the model is wrong, so none comes before what the model chooses.
  double time = std::max(timeOf(0), timeOf(tile.segments));
  double busy = std::min(1.0, double(heads) / time / device.multiprocessors);
  double perChunk = chunkStart + perKey * k + perValue * k * v + busy * traffic * (k + v) / 2 +
                    (tile.stages == 2 ? shallow : 0) +
                    (tile.chunk > 64 ? together + (tile.stages < 4 ? togetherShallow : 0) +
                                           (scores > 1 ? togetherScores : 0)
                                     : 0) +
                    (plan.scan->decay != DecayKind::vector ? 0
                     : plan.scan->decaySide == Side::key   ? perGate * k
                                                           : perValueGate * v);
  Cost cost;
  cost.registers = device.registersPerMultiprocessor / kernel.threads / 8 * 8;
  cost.cycles = time * perChunk / tile.block;
  return cost;
}

/// Every lane walks its part of the state for every token, and reads the token's vectors from
/// shared memory as it goes; the barriers of a block are shared by its tokens. A step is bound by
/// the memory of the state, which narrow blocks read in small pieces.
Cost tokenCost(const Plan& plan, Family family, const Signature& signature, const Tile& tile,
               const KernelSource& kernel, const Device& device, long long batchHeads) {
  constexpr double perElement = 6, vectors = 16, exchange = 30, barriers = 2500, narrow = 4;
  cuda::Axes axes = cuda::tokenAxes(plan, cuda::Analysis(plan)).axes;
  int length = (signature.dims.at(axes.key) + tile.splitK - 1) / tile.splitK;
  int perChannel = 0;
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::state &&
        std::count(operand.dims.begin(), operand.dims.end(), axes.key))
      perChannel += operand.dims.size() > 1 ? tile.columns : 1;
  int splits = 0;
  for (int lanes = tile.splitK; lanes > 1; lanes /= 2)
    ++splits;
  double work = length * (perElement * tile.columns + vectors) + 4.0 * splits * tile.columns;
  Cost cost;
  cost.registers = length * (perChannel + tile.columns + 2) + 48;
  Occupancy fit = occupancy(kernel, std::min(cost.registers, 255), device, batchHeads);
  double latency = work + 2 * exchange * (splits + 4) + barriers / tile.block;
  double throughput = fit.resident * kernel.threads / 128.0 * work;
  if (family == Family::step)
    throughput *= 1 + narrow / std::min(tile.blockV, 32);
  cost.cycles = fit.waves * std::max(latency, throughput);
  return cost;
}

/// Every thread walks its registers of the states for every token, with little to hide what a token
/// waits for; a step is bound by the memory of the states. The order is that of an H200, of gsa
/// with dims of 64 (docs/performance.md).
Cost generalCost(const Plan& plan, Family family, const Signature& signature, const Tile& tile,
                 const KernelSource& kernel, const Device& device, long long batchHeads) {
  constexpr double perElement = 6, others = 60, perRow = 30, wait = 400, waitElement = 8,
                   barriers = 6000, narrow = 4;
  constexpr int mostOfStep = 120;  // beside the state, on any architecture
  const int held = cuda::generalHeld(plan, signature, tile);
  const bool isStep = family == Family::step;
  Cost cost;
  cost.registers = held + (isStep ? 48 : 96);
  Occupancy fit = occupancy(kernel, std::min(cost.registers, 255), device, batchHeads);
  double work = perElement * (isStep ? cost.registers : held) + others;
  double latency = wait + waitElement * held + barriers / tile.block;
  // What is no state's is computed once for each block of a head, and lies in shared memory.
  double rows = isStep ? 0 : perRow * double(kernel.sharedBytes) / sizeof(float) / tile.block;
  double throughput = fit.resident * (kernel.threads * work + rows) / 128.0;
  if (isStep)
    throughput *= 1 + narrow / std::min(tile.blockV, 32);
  cost.cycles = fit.waves * std::max(latency, throughput);
  if (isStep)
    cost.registers = held + mostOfStep;
  return cost;
}

/// Tokens of a chunk and of a block. What never won on an H200 (chunks of 64 among it) is left out,
/// as every candidate costs compile time; the smallest is for dims that would not fit otherwise.
constexpr int scanBlocks[][2] = {{16, 16}, {16, 32}, {16, 64}, {32, 64}};
/// Columns of a block, lanes of a column, columns of a lane.
using Splits = std::vector<std::array<int, 3>>;
const Splits stepSplits = {{16, 32, 4}, {16, 16, 4}, {32, 16, 4}, {64, 16, 4}};
const Splits sequentialSplits = {{16, 16, 4}, {32, 16, 4}, {64, 16, 4}};

std::vector<Tile> enumerate(const Plan& plan, Family family, const Signature& signature,
                            const Device& device) {
  std::vector<Tile> tiles;
  if (family == Family::scan) {
    int columns = signature.dims.at(plan.scan->valueDim);
    for (auto [chunk, block] : scanBlocks)
      for (int blockV : {16, 32, 64, 128})
        for (int stages : {1, 2}) {
          bool fits = blockV == 16 ? columns <= 16 : blockV < columns + blockV / 2;
          bool small = block == 16, large = chunk == 16 && block == 64;
          bool useful = small ? stages == 1 && blockV <= 64
                              : !large || (stages == 2 && blockV >= 64) || columns < 64;
          bool channels = plan.scan->decay == DecayKind::vector;
          if (fits && useful && !(channels && chunk != 16))
            tiles.push_back({chunk, block, blockV, stages, 1, 1});
        }
    if (device.arch == name(Form::sm90a))
      for (auto [chunk, stages] : {std::pair{64, 2}, {64, 3}, {128, 4}})
        for (int blockV : {64, 128})
          for (int segments : {0, 1, 2, 4, 8, 16, 32})
            // Long chunks of wide blocks spill.
            if ((blockV < columns + 64 || (signature.pairedHeads && blockV == 2 * columns)) &&
                (chunk == 64 || blockV == 64))
              tiles.push_back({chunk, 64, blockV, stages, 1, 1, Form::sm90a, segments});
    return tiles;
  }
  cuda::Axes axes = cuda::tokenAxes(plan, cuda::Analysis(plan)).axes;
  int columns = axes.value.empty() ? 1 : signature.dims.at(axes.value);
  const Splits& splits = family == Family::step ? stepSplits : sequentialSplits;
  for (auto [blockV, splitK, laneColumns] : splits)
    if (blockV <= 16 || blockV < columns + blockV / 2)
      tiles.push_back({0, family == Family::step ? 8 : 16, blockV, 1, splitK, laneColumns});
  // A step is called in place, so a block should hold all columns where a state lacks them.
  bool shared = std::any_of(plan.operands.begin(), plan.operands.end(), [&](const Operand& o) {
    return o.kind == Operand::Kind::state && !std::count(o.dims.begin(), o.dims.end(), axes.value);
  });
  int whole = 32;
  while (whole < columns)
    whole *= 2;
  for (int splitK : {4, 8, 16})
    if (family == Family::step && shared && columns > 16)
      tiles.push_back({0, 8, whole, 1, splitK, 4});
  return tiles;
}

/// A tile and what the model says of it.
struct Ranked {
  double cycles;
  Tile tile;
  bool inPlace;  ///< Whether its kernel may update the states in place.
};

/// Where some kernels can update the states in place and others cannot, keeps the first only.
void keepInPlace(std::vector<Ranked>& ranked, std::vector<Pruned>& pruned) {
  if (std::none_of(ranked.begin(), ranked.end(), [](const Ranked& r) { return r.inPlace; }))
    return;
  std::erase_if(ranked, [&](const Ranked& r) {
    if (!r.inPlace)
      pruned.push_back({r.tile, "several blocks would read a state that a step updates in place"});
    return !r.inPlace;
  });
}

/// Emits tiles, and sorts them into those that fit and those that do not.
class Pruner {
public:
  Pruner(const Plan& plan, Family family, const Signature& signature, const Device& device,
         long long batchHeads)
      : plan(plan), family(family), signature(signature), device(device), batchHeads(batchHeads) {}

  void add(const Tile& tile) {
    try {
      KernelSource kernel = emit(plan, family, signature, tile);
      Cost cost = costOf(tile, kernel);
      if (kernel.sharedBytes > device.sharedPerBlock)
        pruned.push_back({tile, std::to_string(kernel.sharedBytes) + " bytes of shared memory, " +
                                    device.arch + " has " + std::to_string(device.sharedPerBlock)});
      else if (int most = std::min(255, device.registersPerMultiprocessor / kernel.threads);
               cost.registers > most) {
        pruned.push_back({tile, "about " + std::to_string(cost.registers) +
                                    " registers a thread, " + std::to_string(most) + " are there"});
        if (tile.form == Form::general && cost.registers - most < least) {
          least = cost.registers - most;
          spilling = {cost.cycles, tile, kernel.sharedStates.empty()};
        }
      } else
        ranked.push_back({cost.cycles, tile, kernel.sharedStates.empty()});
    } catch (const std::invalid_argument& error) {
      pruned.push_back({tile, error.what()});
    }
  }

  /// The general form has to run what no tile of it has the registers for: it spills least.
  void allowSpilling() {
    if (!ranked.empty() || !spilling)
      return;
    ranked.push_back(*spilling);
    std::erase_if(pruned, [&](const Pruned& one) { return one.tile == spilling->tile; });
  }

  std::vector<Ranked> ranked;
  std::vector<Pruned> pruned;

private:
  std::optional<Ranked> spilling;
  int least = std::numeric_limits<int>::max();

  Cost costOf(const Tile& tile, const KernelSource& kernel) const {
    if (tile.form == Form::sm90a)
      return hopperScanCost(plan, signature, tile, kernel, device, batchHeads);
    if (tile.form == Form::general)
      return generalCost(plan, family, signature, tile, kernel, device, batchHeads);
    return family == Family::scan
               ? scanCost(plan, signature, tile, kernel, device, batchHeads)
               : tokenCost(plan, family, signature, tile, kernel, device, batchHeads);
  }

  const Plan& plan;
  const Family family;
  const Signature& signature;
  const Device& device;
  const long long batchHeads;
};

}  // namespace

Candidates candidates(const Plan& plan, Family family, const Signature& signature,
                      const Device& device, long long batchHeads) {
  cuda::checkSignature(plan, signature);
  if (family == Family::scan && !plan.scan)
    throw std::invalid_argument("variant '" + plan.variant +
                                "' has no scan form; its family is sequential");
  Pruner pruner(plan, family, signature, device, batchHeads);
  const bool isScan = family == Family::scan;
  if (isScan || cuda::tokenAxes(plan, cuda::Analysis(plan)).refusal.empty())
    for (const Tile& tile : enumerate(plan, family, signature, device))
      pruner.add(tile);
  if (!isScan && pruner.ranked.empty())
    for (const Tile& tile : cuda::generalTiles(plan, family, signature, device.sharedPerBlock))
      pruner.add(tile);
  pruner.allowSpilling();
  Candidates result;
  std::vector<Ranked>& ranked = pruner.ranked;
  result.pruned = std::move(pruner.pruned);
  if (family == Family::step)
    keepInPlace(ranked, result.pruned);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.cycles < b.cycles; });
  for (const Ranked& r : ranked)
    result.tiles.push_back(r.tile);
  if (result.tiles.empty())
    throw std::invalid_argument(std::string("variant '") + plan.variant + "' has no " +
                                name(family) + " tile that fits " + device.arch +
                                (result.pruned.empty() ? "" : ": " + result.pruned.back().reason));
  return result;
}

}  // namespace lathe
