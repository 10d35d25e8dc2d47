#include "compiler/cuda/Space.h"

#include "compiler/cuda/Families.h"

#include <algorithm>
#include <stdexcept>

namespace lathe {

Device knownDevice(const std::string& arch) {
  constexpr std::size_t small = 99 * 1024, ampere = 163 * 1024, hopper = 227 * 1024, kib = 1024;
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

/// A chunk's dependent chain of tensor core instructions (about 33 cycles each on Hopper) against
/// their issue (8 cycles of a quarter of a multiprocessor each), with the barriers of a block;
/// measured constants, see docs/performance.md.
Cost scanCost(const Plan& plan, const Signature& signature, const Tile& tile,
              const KernelSource& kernel, const Device& device, long long batchHeads) {
  constexpr double chain = 33, issue = 2, barriers = 1200, perChunk = 300;
  int k = (signature.dims.at(plan.scan->keyDim) + 15) / 16, chunk = tile.chunk / 16,
      warps = tile.blockV / 16;
  int width = signature.compute == DType::f32 ? 2 : 1;
  int chunks = tile.block / tile.chunk;
  double read = 2.0 * k * chunk, update = 2.0 * k * chunk, local = chunk * (chunk + 1);
  double scores = 2.0 * k * chunk * (chunk + 1) / 2;
  if (plan.scan->decay == DecayKind::vector)
    scores = 40.0 * k;  // on the ordinary pipes, in the same unit
  double instructions = width * chunks * (warps * (read + update + local) + scores);
  double latency = barriers + chunks * (perChunk + chain * width * (k + 2 * chunk) +
                                        chain * width * k * scores / (warps * 2 * k));
  Cost cost;
  cost.registers = 8 * k + 8 * chunk + 72;
  Occupancy fit = occupancy(kernel, std::min(cost.registers, 255), device, batchHeads);
  cost.cycles = fit.waves * std::max(fit.resident * instructions * issue, latency) / tile.block;
  return cost;
}

/// Every lane walks its channels of the state for every token; the barriers of a block are shared
/// by its tokens.
Cost tokenCost(const Plan& plan, const Signature& signature, const Tile& tile,
               const KernelSource& kernel, const Device& device, long long batchHeads) {
  constexpr double operations = 6, exchange = 30, barriers = 2500;
  cuda::Axes axes = cuda::tokenAxes(plan, cuda::Analysis(plan)).axes;
  int length = (signature.dims.at(axes.key) + tile.splitK - 1) / tile.splitK;
  int states = 0;
  for (const Operand& operand : plan.operands)
    states += operand.kind == Operand::Kind::state &&
              std::count(operand.dims.begin(), operand.dims.end(), axes.key);
  double work = length * operations;
  int splits = 0;
  for (int lanes = tile.splitK; lanes > 1; lanes /= 2)
    ++splits;
  Cost cost;
  cost.registers = length * (states + 2) + 48;
  Occupancy fit = occupancy(kernel, std::min(cost.registers, 255), device, batchHeads);
  double latency = work + 2 * exchange * (splits + 4) + barriers / tile.block;
  double throughput = fit.resident * kernel.threads / 128.0 * (work + 20 * splits);
  cost.cycles = fit.waves * std::max(latency, throughput);
  return cost;
}

std::vector<Tile> enumerate(const Plan& plan, Family family, const Signature& signature) {
  std::vector<Tile> tiles;
  cuda::Axes axes = cuda::tokenAxes(plan, cuda::Analysis(plan)).axes;
  int columns = axes.value.empty() ? 1 : signature.dims.at(axes.value);
  if (family == Family::scan) {
    columns = (signature.dims.at(plan.scan->valueDim) + 15) / 16 * 16;
    for (int chunk : {16, 32, 64})
      for (int block : {16, 32, 64})
        for (int blockV : {16, 32, 64, 128})
          for (int stages : {1, 2, 3})
            if (block >= chunk && blockV <= columns + 15 && (blockV <= columns || blockV == 16) &&
                !(plan.scan->decay == DecayKind::vector && chunk != 16))
              tiles.push_back({chunk, block, blockV, stages, 1});
    return tiles;
  }
  for (int blockV : {8, 16, 32, 64, 128})
    for (int splitK : {1, 2, 4, 8, 16, 32})
      for (int block : {8, 16})
        if (blockV * splitK % 32 == 0 && blockV * splitK >= 32 && blockV * splitK <= 512 &&
            (blockV < 2 * columns || blockV == 8 || blockV * splitK == 32) &&
            (family == Family::sequential) == (block == 16))
          tiles.push_back({0, block, blockV, 1, splitK});
  return tiles;
}

}  // namespace

Candidates candidates(const Plan& plan, Family family, const Signature& signature,
                      const Device& device, long long batchHeads) {
  cuda::checkSignature(plan, signature);
  if (family == Family::scan && !plan.scan)
    throw std::invalid_argument("variant '" + plan.variant +
                                "' has no scan form; its family is sequential");
  cuda::TokenAxes axes = cuda::tokenAxes(plan, cuda::Analysis(plan));
  if (family != Family::scan && !axes.refusal.empty())
    throw std::invalid_argument(std::string("variant '") + plan.variant + "' has no " +
                                name(family) + " kernel: " + axes.refusal);
  Candidates result;
  std::vector<std::pair<double, Tile>> ranked;
  for (const Tile& tile : enumerate(plan, family, signature)) {
    try {
      KernelSource kernel = emit(plan, family, signature, tile);
      Cost cost = family == Family::scan
                      ? scanCost(plan, signature, tile, kernel, device, batchHeads)
                      : tokenCost(plan, signature, tile, kernel, device, batchHeads);
      if (kernel.sharedBytes > device.sharedPerBlock)
        result.pruned.push_back({tile, std::to_string(kernel.sharedBytes) +
                                           " bytes of shared memory, " + device.arch + " has " +
                                           std::to_string(device.sharedPerBlock)});
      else if (cost.registers > 255)
        result.pruned.push_back({tile, "about " + std::to_string(cost.registers) +
                                           " registers a thread, 255 are there"});
      else
        ranked.push_back({cost.cycles, tile});
    } catch (const std::invalid_argument& error) {
      result.pruned.push_back({tile, error.what()});
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [cycles, tile] : ranked)
    result.tiles.push_back(tile);
  if (result.tiles.empty())
    throw std::invalid_argument(std::string("variant '") + plan.variant + "' has no " +
                                name(family) + " tile that fits " + device.arch +
                                (result.pruned.empty() ? "" : ": " + result.pruned.back().reason));
  return result;
}

}  // namespace lathe
