#include "compiler/cuda/TokenEmitter.h"

#include <stdexcept>

namespace lathe::cuda {

TokenEmitter::TokenEmitter(const Plan& plan, Family family, const Signature& signature,
                           const Tile& tile)
    : plan(plan), family(family), signature(signature), tile(tile), analysis(plan),
      axes(tokenAxes(plan, analysis).axes),
      program(
          plan, signature, analysis, axes,
          [this](int operand) { return tensorIndex(kernel.tensors, operand); },
          [this](int operand) { return constantIndex(kernel, operand); }) {
  kernel.entry = entryName(plan, family);
  kernel.tensors = tensorSlots(plan);
  kernel.constants = constantOperands(plan);
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::output || operand.kind == Operand::Kind::state)
      roots.push_back(operand.value);
}

void TokenEmitter::check() const {
  auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(std::string(name(family)) + " of '" + plan.variant +
                                "' with tile " + toString(tile) + ": " + why);
  };
  TokenAxes found = tokenAxes(plan, analysis);
  if (!found.refusal.empty())
    refuse(found.refusal);
  for (const std::string& name : {axes.key, axes.value})
    if (dim(name) > 256)
      refuse(name + " = " + std::to_string(dim(name)) + " is more than 256");
  bool power = tile.splitK > 0 && tile.splitK <= 32 && (tile.splitK & (tile.splitK - 1)) == 0;
  if (!power)
    refuse("splitK must be a power of two up to 32");
  if (tile.columns != 1 && tile.columns != 2 && tile.columns != 4)
    refuse("columns must be 1, 2 or 4");
  int threads = tile.blockV / tile.columns * tile.splitK;
  if (tile.blockV % tile.columns || threads < 32 || threads % 32 || threads > 1024)
    refuse("blockV / columns * splitK must be a multiple of 32 up to 1024");
  if (tile.block < 1 || tile.block > 64)
    refuse("block must be 1 to 64");
}

bool TokenEmitter::scaled(int index) const {
  const Node& node = plan.nodes[index];
  bool cheap = node.op == Op::add || node.op == Op::subtract || node.op == Op::multiply ||
               node.op == Op::negate;
  if (node.kind != Node::Kind::map || node.dims.size() != 1 || !cheap ||
      analysis.stateDependent(index))
    return false;
  return std::count_if(node.args.begin(), node.args.end(),
                       [&](int arg) { return !plan.nodes[arg].dims.empty(); }) == 1;
}

bool TokenEmitter::columnsFirst() const {
  int across = tile.blockV / tile.columns;
  return family == Family::step && (32 % across == 0 || across % 32 == 0);
}

std::vector<int> TokenEmitter::argumentsOf(int index) const {
  const Node& node = plan.nodes[index];
  if (node.kind != Node::Kind::affine)
    return node.args;
  const Recurrence& r = plan.recurrences[node.affine];
  std::vector<int> result = r.logDecays;
  for (const auto& term : r.rank1)
    result.insert(result.end(), {term.left, term.right});
  for (const auto& term : r.outer)
    result.insert(result.end(), {term.key, term.value});
  return result;
}

std::set<int> TokenEmitter::lateNodes() const {
  std::set<int> result;
  std::vector<int> work = roots;
  while (!work.empty()) {
    int node = work.back();
    work.pop_back();
    if (!late(node) || !result.insert(node).second)
      continue;
    for (int arg : argumentsOf(node))
      work.push_back(arg);
  }
  return result;
}

void TokenEmitter::prepare() {
  paddedK = (dim(axes.key) + tile.splitK - 1) / tile.splitK * tile.splitK;
  program.byTask = family == Family::step;
  program.rowElements = [this](const std::vector<std::string>& dims) {
    return dims[0] == axes.value ? std::min(tile.blockV, dim(axes.value)) : dim(dims[0]);
  };
  program.firstElement = [this](const std::vector<std::string>& dims) {
    return std::string(dims[0] == axes.value ? "tile * kBlockV" : "0");
  };
  program.rowPointer = [this](int operand) {
    const Operand& o = plan.operands[operand];
    std::string tensor =
        "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand)) + "]";
    std::string type = cudaType(signature.dtypes[operand]);
    std::string row = tensor + ".at<const " + type + ">(";
    row += o.kind == Operand::Kind::param
               ? "0, head)"
               : "sequence, head) + int64(firstToken + token) * " + tensor + ".token";
    return row + " + " + program.firstElement(o.dims);
  };
  std::vector<int> wanted = roots;
  for (int node : lateNodes())
    for (int arg : argumentsOf(node))
      wanted.push_back(arg);
  for (int node : wanted) {
    const Node& n = plan.nodes[node];
    if (late(node) || ahead.count(node))
      continue;
    if (n.dims.empty()) {
      program.keepScalar(node);
      continue;
    }
    bool ofValue = axes.isValue(n.dims);
    if (!ofValue && !axes.isKey(n.dims))
      throw std::invalid_argument("variant '" + plan.variant + "': a value over " + n.dims[0] +
                                  " meets a state over " + axes.key + " and " + axes.value);
    int padded = ofValue ? tile.blockV : paddedK;
    ahead[node] = layout.take(sizeof(float) * tile.block * padded);
    program.storeVector(node, n.dims,
                        "reinterpret_cast<float*>(shared + " + std::to_string(ahead[node]) +
                            ") + token * " + std::to_string(padded),
                        "float", program.rowElements(n.dims), padded, program.firstElement(n.dims));
  }
  slotOffset = layout.take(sizeof(float) * tile.block * std::max(1, program.slotCount()));
  targetOffset = layout.take(sizeof(std::int64_t) * written().size());
  planSums();
  if (columnsFirst())
    splitWarps = kernel.threads / std::max(32, tile.blockV / tile.columns);
  if (splitWarps > 1)
    exchangeOffset =
        layout.take(sizeof(float) * 2 * splitWarps * tile.blockV / tile.columns * 4 * sumPacks);
}

int TokenEmitter::residentBlocks() const {
  if (family != Family::step)
    return 1;
  int length = paddedK / tile.splitK, state = 0, vectors = 0;
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::state)
      state += (hasKey(operand.dims) ? length : 1) * (hasValue(operand.dims) ? tile.columns : 1);
  for (auto [node, offset] : ahead)
    vectors += axes.isKey(plan.nodes[node].dims) ? length : tile.columns;
  constexpr int others = 44, least = 88, granule = 8;
  int held = state + std::max(vectors, program.taskRegisters()) + 4 * sumPacks;
  int registers = (std::max(held + others, least) + granule - 1) / granule * granule;
  // Each quarter of a multiprocessor has registers of its own, for whole warps.
  constexpr int quarters = 4, file = 65536 / quarters;
  int warps = file / (32 * registers) * quarters;
  return std::clamp(warps / (kernel.threads / 32), 1, 16);
}

KernelSource TokenEmitter::emit() {
  check();
  kernel.threads = tile.blockV / tile.columns * tile.splitK;
  kernel.tilesPerHead = (dim(axes.value) + tile.blockV - 1) / tile.blockV;
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (kernel.tilesPerHead > 1 && plan.operands[i].kind == Operand::Kind::state &&
        !hasValue(plan.operands[i].dims))
      kernel.sharedStates.push_back(i);
  prepare();
  kernel.sharedBytes = layout.size();
  Text variant;
  variant.line("struct Variant {");
  auto constant = [&](const char* name, int value) {
    variant.line("  static constexpr int ", name, " = ", value, ";");
  };
  constant("kK", dim(axes.key));
  constant("kV", dim(axes.value));
  constant("kBlockV", tile.blockV);
  constant("kSplitK", tile.splitK);
  constant("kColumns", tile.columns);
  constant("kLength", paddedK / tile.splitK);
  constant("kBlock", tile.block);
  constant("kTiles", kernel.tilesPerHead);
  constant("kThreads", kernel.threads);
  constant("kWarps", kernel.threads / 32);
  constant("kSlotOffset", slotOffset);
  constant("kAcross", tile.blockV / tile.columns);
  constant("kColumnsFirst", columnsFirst());
  constant("kSplitWarps", splitWarps);
  constant("kExchangeOffset", exchangeOffset);
  constant("kSumPacks", sumPacks);
  constant("kTargetOffset", targetOffset);
  bool step = family == Family::step;
  step ? program.writeTasks(variant) : program.write(variant);
  writeState(variant);
  variant.line("};");
  kernel.text = assemble(plan, kernel,
                         {"templates/device/state.cuh", "templates/kernels/tokens.cuh",
                          std::string("templates/kernels/") + name(family) + ".cuh"},
                         variant,
                         step ? "lathe::Step<lathe::Variant>{args, shared}.run();"
                              : "lathe::runSequential<lathe::Variant>(args, shared);",
                         residentBlocks());
  return kernel;
}

KernelSource emitTokens(const Plan& plan, Family family, const Signature& signature,
                        const Tile& tile) {
  return TokenEmitter(plan, family, signature, tile).emit();
}

}  // namespace lathe::cuda
