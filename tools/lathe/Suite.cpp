#include "tools/lathe/Suite.h"

#include "runtime/Prepare.h"
#include "tools/lathe/Command.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/Roofline.h"
#include "tuner/BackwardCall.h"
#include "tuner/BackwardPass.h"
#include "tuner/Oracle.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace lathe::tool {

namespace {

const std::map<std::string, int> square = {{"K", 128}, {"V", 128}};
/// Mamba-2's usual sizes: a state of 128, heads of 64, B and C shared by all heads.
const std::map<std::string, int> mambaDims = {{"K", 128}, {"V", 64}};
const std::map<std::string, int> mambaHeads = {{"B", 1}, {"C", 1}};

const std::set<std::string> fixedDecay = {"gamma", "scale"};

std::vector<BenchCase> h200() {
  std::vector<BenchCase> cases;
  for (const char* variant : {"retnet", "gla", "linear_attention"})
    for (const Shape& shape : {Shape{8, 4096, 16}, Shape{1, 8192, 16}})
      cases.push_back({variant, shape, square, DType::bf16, {}});
  for (const Shape& shape : {Shape{4, 16384, 32}, Shape{1, 131072, 8}, Shape{2, 2048, 8}})
    cases.push_back({"retnet", shape, square, DType::bf16, {}});
  for (const Shape& shape : {Shape{8, 4096, 32}, Shape{1, 8192, 32}})
    cases.push_back({"mamba2", shape, mambaDims, DType::bf16, mambaHeads});
  cases.push_back({"gated_delta_net", {8, 4096, 16}, square, DType::bf16, {}});
  for (const char* variant : {"retnet", "gla", "linear_attention", "mamba2", "gated_delta_net"})
    for (const Shape& shape : {Shape{64, 1, 32}, Shape{1, 1, 32}}) {
      const bool isMamba = std::string(variant) == "mamba2";
      cases.push_back({variant, shape, isMamba ? mambaDims : square, DType::bf16,
                       isMamba ? mambaHeads : std::map<std::string, int>{}});
    }
  return cases;
}

/// Training: the backward passes alone. The decays of retnet are fixed, as in its paper.
std::vector<BenchCase> h200Backward() {
  std::vector<BenchCase> cases;
  for (const char* variant : {"retnet", "gla", "gated_delta_net"})
    for (const Shape& shape : {Shape{8, 4096, 16}, Shape{1, 8192, 16}})
      cases.push_back({variant,
                       shape,
                       square,
                       DType::bf16,
                       {},
                       true,
                       std::string(variant) == "retnet" ? fixedDecay : std::set<std::string>{}});
  cases.push_back({"mamba2", {8, 4096, 32}, mambaDims, DType::bf16, mambaHeads, true});
  return cases;
}

Tile tileFor(const Problem& problem, const Oracle& oracle, const DeviceInfo& gpu,
             const BenchMethod& method) {
  Database database;
  if (method.tile.empty() && method.tuneSeconds > 0 && !database.find(problem, gpu, true)) {
    TuneOptions how;
    how.budgetSeconds = method.tuneSeconds;
    how.progress = method.progress;
    return tune(problem, gpu.ordinal, oracle, database, how).winner;
  }
  return parseTile(method.tile, choose(problem, gpu, database).tile);
}

BenchRow rowOf(const CompiledVariant& variant, const Signature& signature, const Shape& shape,
               Family family, std::span<const Tile> tiles) {
  BenchRow row;
  row.variant = variant.name;
  row.family = name(family);
  row.form = name(tiles.front().form);
  row.tile = toString(tiles);
  row.shape = shape;
  row.dims = signature.dims;
  row.dtype = signature.compute;
  return row;
}

void checkFixed(const std::set<std::string>& fixed, const Plan& plan) {
  std::string names;
  std::set<std::string> known;
  for (const Operand& operand : plan.operands)
    if (operand.kind != Operand::Kind::output && operand.kind != Operand::Kind::state) {
      known.insert(operand.name);
      names += (names.empty() ? "" : ", ") + operand.name;
    }
  const auto unknown = std::find_if(fixed.begin(), fixed.end(),
                                    [&](const std::string& name) { return !known.count(name); });
  if (unknown != fixed.end())
    throw UsageError("--fixed: " + plan.variant + " has no '" + *unknown + "'; it has " + names);
}

/// Times launches, and holds them against a copy of `minBytes`.
void time(BenchRow& row, const Stopwatch::Launch& launch, double minBytes, const DeviceInfo& gpu,
          const BenchMethod& method) {
  const Stopwatch stopwatch(gpu);
  stopwatch.warmUp(launch);
  row.time = summarise(stopwatch.sample(launch, method.repeats));
  row.minBytes = minBytes;
  row.ceilingShare = minBytes / (method.copyGBps * 1e9) / (row.time.microseconds * 1e-6);
}

nlohmann::json toJson(const BenchRow& row) {
  nlohmann::json json = {{"variant", row.variant},
                         {"family", row.family},
                         {"form", row.form},
                         {"pass", row.pass},
                         {"B", row.shape.batch},
                         {"T", row.shape.tokens},
                         {"H", row.shape.heads},
                         {"dtype", name(row.dtype)},
                         {"tile", row.tile},
                         {"fixed", row.fixed},
                         {"us_median", std::round(row.time.microseconds * 100) / 100},
                         {"us_mad", std::round(row.time.mad * 100) / 100},
                         {"min_bytes", static_cast<std::int64_t>(row.minBytes)},
                         {"ceiling_share", std::round(row.ceilingShare * 1e4) / 1e4}};
  if (row.fixed.empty())
    json.erase("fixed");
  for (const auto& [dim, size] : row.dims)
    json[dim] = size;
  return json;
}

}  // namespace

std::vector<BenchCase> suiteOf(const std::string& name) {
  if (name == "h200")
    return h200();
  if (name == "h200-backward")
    return h200Backward();
  throw UsageError("'" + name + "' is no suite; there are h200 and h200-backward");
}

nlohmann::json toJson(const BenchRecord& record) {
  nlohmann::json rows = nlohmann::json::array();
  for (const BenchRow& row : record.rows)
    rows.push_back(toJson(row));
  return {{"machine", record.machine},
          {"driver", record.driver},
          {"commit", record.commit},
          {"date", record.date},
          {"command", record.command},
          {"copy_GBps", std::round(record.copyGBps)},
          {"rows", rows}};
}

std::string driverText(const DeviceInfo& gpu) {
  const std::string cuda = "CUDA " + std::to_string(gpu.driverVersion / 1000) + "." +
                           std::to_string(gpu.driverVersion % 1000 / 10);
  std::ifstream module("/sys/module/nvidia/version");
  std::string version;
  return module >> version ? version + ", " + cuda : cuda;
}

BenchRow measure(const BenchCase& benchCase, const CompiledVariant& variant,
                 const Signature& signature, Family family, const DeviceInfo& gpu,
                 const BenchMethod& method) {
  const Plan& plan = variant.plan;
  const Problem problem{&plan, family, signature, benchCase.shape};
  const bool isStep = family == Family::step;
  const Tile tile = tileFor(problem, oracleOf(variant), gpu, method);

  Kernels kernels;
  const PreparedKernel kernel(kernels, plan, emit(plan, family, signature, tile), signature,
                              gpu.ordinal);
  cuda::ContextScope scope(gpu.ordinal);
  Draw how;
  how.initialStates = isStep;
  how.heads = benchCase.heads;
  // One batch is drawn, and repeated on the GPU: times do not depend on the numbers.
  const HostCall host =
      draw(plan, signature, {1, benchCase.shape.tokens, benchCase.shape.heads}, how);
  Placement placement;
  placement.inPlace = isStep;
  placement.device = gpu.ordinal;
  DeviceCall device(plan, signature, benchCase.shape, host, placement);
  const LaunchPlan bound = device.bind(kernel.binder());
  BenchRow row = rowOf(variant, signature, benchCase.shape, family, {&tile, 1});
  row.pass = isStep ? "step" : "fwd";
  time(
      row, [&](cuda::StreamHandle stream) { kernel.launch(bound, stream); },
      minBytes(plan, signature, benchCase.shape, benchCase.heads, {.isRead = isStep}), gpu, method);
  return row;
}

BenchRow measureBackward(const BenchCase& benchCase, const CompiledVariant& variant,
                         const Signature& signature, const DeviceInfo& gpu,
                         const BenchMethod& method) {
  checkFixed(benchCase.fixed, variant.plan);
  const Plan &plan = variant.plan, &adjoint = variant.backward;
  const Signature own = adjointSignature(plan, adjoint, signature);
  const BackwardPass pass(variant, signature, gpu.limits);
  std::vector<Tile> tiles;
  for (std::size_t i = 0; i < pass.kernels().size(); ++i)
    tiles.push_back(
        tileFor(pass.problem(i, benchCase.shape), pass.kernels()[i].oracle, gpu, method));

  Kernels kernels;
  const PreparedSequence sequence(kernels, pass.emit(tiles), gpu.ordinal);
  cuda::ContextScope scope(gpu.ordinal);
  Draw how;
  how.initialStates = false;
  how.heads = benchCase.heads;
  const HostCall host = draw(adjoint, own, {1, benchCase.shape.tokens, benchCase.shape.heads}, how);
  BackwardCall device(plan, adjoint, signature, benchCase.shape, host, false, gpu.ordinal,
                      benchCase.fixed);
  const SequenceLaunch bound = device.bind(sequence);

  std::map<std::string, int> heads = benchCase.heads;
  for (const auto& [input, count] : benchCase.heads)
    heads["d." + input] = count;
  BenchRow row = rowOf(variant, signature, benchCase.shape, pass.family(), tiles);
  row.pass = "bwd";
  row.fixed = benchCase.fixed;
  time(
      row, [&](cuda::StreamHandle stream) { sequence.launch(bound, stream); },
      minBytes(adjoint, own, benchCase.shape, heads, {.isWritten = false}), gpu, method);
  return row;
}

}  // namespace lathe::tool
