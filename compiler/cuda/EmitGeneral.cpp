#include "compiler/cuda/GeneralEmitter.h"
#include "compiler/cuda/Segments.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

/// The dimension that blocks can share: nothing is summed over it, and most states have it.
static std::string spreadOf(const Graph& graph) {
  const std::set<std::string> mixed = graph.mixed();
  std::string best;
  int most = 0;
  for (const std::string& dim : graph.plan.dims) {
    int states = 0;
    for (auto [state, value] : graph.carried)
      states += has(graph.plan.operands[state].dims, dim);
    if (!mixed.count(dim) && states > most) {
      best = dim;
      most = states;
    }
  }
  return best;
}

GeneralKernel::GeneralKernel(const Plan& plan, const Signature& signature, const Tile& tile)
    : plan(plan), signature(signature), tile(tile), graph(plan), spread(spreadOf(graph)),
      tensors(tensorSlots(plan)), constants(constantOperands(plan)), sweeps(sweepsOf(graph)) {
  findRecord();
  findCarriers();
}

void GeneralKernel::findRecord() {
  if (std::any_of(sweeps.begin(), sweeps.end(),
                  [](const GraphSweep& sweep) { return !sweep.kept.empty(); }))
    span = tile.chunk;
  for (const GraphSweep& sweep : sweeps) {
    const Items items(graph, sweep, spread);
    for (const auto& [dims, column] : items.allColumns())
      recordColumns[dims] = column;
  }
  for (GraphSweep& sweep : sweeps) {
    for (int value : sweep.kept) {
      record[value] = recordSize;
      recordSize += (held(graph.values[value].dims) + 3) / 4 * 4;
    }
    if (!span || sweep.kept.empty())
      continue;
    for (int state : sweep.states) {
      checkpoint[state] = checkpointSize;
      checkpointSize += (held(plan.operands[state].dims) + 3) / 4 * 4;
    }
  }
}

void GeneralKernel::findCarriers() {
  for (auto [state, value] : graph.carried)
    if (plan.operands[state].dims.size() < 2)
      carriers[value] = carried.take(sizeof(float) * (tile.block + 1) * pitch(value));
}

int GeneralKernel::pitch(int value) const {
  const Dims& dims = graph.values[value].dims;
  return dims.empty() ? 1 : (held(dims) + 31) / 32 * 32;
}

Dims GeneralKernel::recordDims(int value) const {
  Dims dims = graph.values[value].dims;
  auto column = recordColumns.find({dims.begin(), dims.end()});
  if (dims.size() == 2 && column != recordColumns.end() && dims[1] != column->second)
    std::swap(dims[0], dims[1]);
  return dims;
}

int GeneralKernel::held(const std::string& dim) const {
  return dim == spread ? std::min(tile.blockV, size(dim)) : size(dim);
}

int GeneralKernel::held(const Dims& dims) const {
  int product = 1;
  for (const std::string& dim : dims)
    product *= held(dim);
  return product;
}

int GeneralKernel::tiles() const {
  return spread.empty() ? 1 : (size(spread) + tile.blockV - 1) / tile.blockV;
}

int GeneralKernel::threads() const { return tile.blockV / tile.columns * tile.splitK; }

std::string GeneralKernel::tensor(int operand, KernelSource::Slot::Role role) const {
  return "at.args.tensors[" + std::to_string(tensorIndex(tensors, operand, role)) + "]";
}

static void check(const Plan& plan, Family family, const Tile& tile, const GeneralKernel& kernel) {
  auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(std::string(name(family)) + " of '" + plan.variant +
                                "' with tile " + toString(tile) + ": " + why);
  };
  if (tile.splitK < 1 || tile.splitK > 32 || (tile.splitK & (tile.splitK - 1)))
    refuse("splitK must be a power of two up to 32");
  if (tile.columns != 1 && tile.columns != 2 && tile.columns != 4)
    refuse("columns must be 1, 2 or 4");
  int threads = kernel.threads();
  if (tile.blockV % tile.columns || threads < 32 || threads % 32 || threads > 1024)
    refuse("blockV / columns * splitK must be a multiple of 32 up to 1024");
  if (tile.block < 1 || tile.block > 64)
    refuse("block must be 1 to 64");
  if (tile.chunk < 0)
    refuse("chunk must be 0 or the tokens between two checkpoints");
}

static void writeClearOutputs(Text& text, const GeneralKernel& kernel) {
  text.line("  static __device__ __forceinline__ void clearOutputs(const Place& at) {");
  for (auto [output, value] : kernel.graph.outputs) {
    const Operand& operand = kernel.plan.operands[output];
    const std::string type = cudaType(kernel.signature.dtypes[output]);
    int size = 1;
    for (const std::string& dim : operand.dims)
      size *= kernel.size(dim);
    text.line("    for (int t = at.tile; t < at.sequence.tokens; t += kTiles)");
    text.line("      for (int i = at.thread; i < ", size, "; i += kThreads)");
    const std::string tensor = kernel.tensor(output, KernelSource::Slot::Role::operand);
    text.line("        (", tensor, ".at<", type, ">(at.sequence, at.head) + int64(t) * ", tensor,
              ".token)[i] = fromFloat<", type, ">(0.0f);");
  }
  text.line("  }");
}

static void writeRecord(Text& text, const GeneralKernel& kernel) {
  if (!kernel.recordSize)
    return;
  if (kernel.span) {
    text.line("  static constexpr int kCheckpoint = ", kernel.checkpointSize,
              ", kRoom = ", kernel.recordSize * kernel.span, ";");
    text.line("  static __device__ __forceinline__ float* workspace(const Place& at) {");
    text.line("    return reinterpret_cast<float*>(static_cast<char*>(at.args.workspace) + ",
              workspaceHead, ");");
    text.line("  }");
    text.line("  /// What one sweep leaves to another of a token of the span.");
    text.line("  static __device__ __forceinline__ float* record(const Place& at, int t) {");
    text.line("    return roomOf<Variant>(at) + (t - at.spanFirst) * ", kernel.recordSize, ";");
    text.line("  }");
    return;
  }
  text.line("  /// What one sweep leaves to another of a token.");
  text.line("  static __device__ __forceinline__ float* record(const Place& at, int t) {");
  text.line("    const Args& args = at.args;");
  text.line("    const int64 rows = int64(args.sequences ? 1 : args.batch) * args.tokens;");
  text.line(
      "    const int64 row = int64(at.sequence.batch) * args.tokens + at.sequence.first + t;");
  text.line("    char* records = static_cast<char*>(args.workspace) + ", workspaceHead, ";");
  text.line("    return reinterpret_cast<float*>(records) + ((int64(at.head) * kTiles + at.tile) * "
            "rows + row) * ",
            kernel.recordSize, ";");
  text.line("  }");
}

KernelSource emitGeneral(const Plan& plan, Family family, const Signature& signature,
                         const Tile& tile) {
  GeneralKernel general(plan, signature, tile);
  check(plan, family, tile, general);
  KernelSource kernel;
  kernel.entry = entryName(plan, family);
  kernel.tensors = general.tensors;
  kernel.constants = general.constants;
  kernel.threads = general.threads();
  kernel.tilesPerHead = general.tiles();
  if (general.span)
    kernel.replay = {general.span, sizeof(float) * general.checkpointSize,
                     sizeof(float) * general.recordSize * general.span};
  else
    kernel.tokenBytes = sizeof(float) * general.recordSize;
  for (auto [state, value] : general.graph.carried)
    if (kernel.tilesPerHead > 1 && !general.isSpread(plan.operands[state].dims))
      kernel.sharedStates.push_back(state);
  Text variant;
  variant.line("struct Variant {");
  for (const auto& [name, value] : std::map<std::string, int>{{"kTiles", kernel.tilesPerHead},
                                                              {"kThreads", kernel.threads},
                                                              {"kWarps", kernel.threads / 32},
                                                              {"kBlockV", tile.blockV},
                                                              {"kSpan", general.span},
                                                              {"kSplit", tile.splitK},
                                                              {"kColumns", tile.columns}})
    variant.line("  static constexpr int ", name, " = ", value, ";");
  writeClearOutputs(variant, general);
  writeRecord(variant, general);
  Text run;
  run.line("  static __device__ __forceinline__ void run(const Place& at) {");
  auto write = [&](const GraphSweep& sweep, const std::string& name) {
    SweepWriter writer(general, sweep);
    writer.write(variant, name);
    kernel.sharedBytes = std::max(kernel.sharedBytes, writer.sharedBytes());
  };
  for (std::size_t i = 0; i < general.sweeps.size(); ++i) {
    const std::string name = "Sweep" + std::to_string(i);
    GraphSweep sweep = general.sweeps[i];
    if (!general.span) {
      write(sweep, name);
      run.line("    runSweep<", name, ">(at);");
      continue;
    }
    const bool isReplayed = !sweep.kept.empty();
    std::string replays;
    int own = 0;
    for (const GraphSweep& replay : replaysOf(general.sweeps, i, general.recordColumns)) {
      const std::string replayName = "Replay" + std::to_string(i) + std::to_string(own++);
      write(replay, replayName);
      replays += ", " + replayName;
    }
    sweep.kept.clear();
    write(sweep, name);
    run.line("    runSpans<Variant, ", name, ", ", isReplayed ? "true" : "false", replays,
             ">(at);");
  }
  run.line("  }");
  variant.append(run);
  variant.line("};");
  kernel.text =
      assemble(plan, kernel, {"templates/kernels/general.cuh"}, variant,
               "lathe::runGeneral<lathe::Variant>(args, shared);", generalBlocks(general, family));
  return kernel;
}

}  // namespace lathe::cuda
