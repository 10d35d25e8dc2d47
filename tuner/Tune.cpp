#include "runtime/driver/Cuda.h"
#include "tuner/Funnel.h"

#include <algorithm>
#include <map>
#include <optional>

namespace lathe {

namespace {

/// The candidates of a problem on one GPU.
class GpuLaboratory final : public Laboratory {
public:
  GpuLaboratory(const Problem& problem, const DeviceInfo& gpu, const Candidates& candidates,
                const Oracle& oracle)
      : problem(problem), gpu(gpu), candidates(candidates), oracle(oracle), stopwatch(gpu) {}

  std::string digest(int tile) override { return sourceDigest(source(tile)); }

  int compile(int tile) override {
    const Resources used = kernels.get(source(tile), gpu.limits.arch).kernel->resources;
    return used.spillStoreBytes + used.spillLoadBytes;
  }

  /// The numbers do not matter to the time, so of the timed call one batch is drawn and repeated.
  void setUp() override {
    verifier.emplace(problem, gpu.ordinal, oracle);
    Shape one = problem.shape;
    one.batch = std::min<std::int64_t>(1, one.batch);
    Placement placement;
    placement.device = gpu.ordinal;
    call.emplace(*problem.plan, problem.signature, problem.shape,
                 draw(*problem.plan, problem.signature, one, Draw{}), placement);
  }

  Verdict verify(int tile) override {
    return guarded([&] { return verifier->check(prepared(tile)); });
  }

  std::vector<double> sample(int tile, int repeats) override {
    constexpr double longest = 3e5;  // microseconds for the repeats of one call
    return guarded([&] {
      const PreparedKernel& kernel = prepared(tile);
      const LaunchPlan bound = call->bind(kernel.binder());
      auto launch = [&](cuda::StreamHandle stream) { kernel.launch(bound, stream); };
      if (!warm.contains(tile)) {
        stopwatch.warmUp(launch);
        warm[tile] = stopwatch.sample(launch, 1).front();
      }
      int affordable = std::max(3, int(longest / std::max(1.0, warm[tile])));
      return stopwatch.sample(launch, std::min(repeats, affordable));
    });
  }

private:
  KernelSource source(int tile) const {
    return emit(*problem.plan, problem.family, problem.signature, candidates.tiles[tile]);
  }

  const PreparedKernel& prepared(int tile) {
    auto found = kernelOf.find(tile);
    if (found == kernelOf.end())
      found = kernelOf
                  .try_emplace(tile, kernels, *problem.plan, source(tile), problem.signature,
                               gpu.ordinal)
                  .first;
    return found->second;
  }

  /// Runs `body`; what it throws becomes DeviceLost where the context can do no more.
  template <typename Body> auto guarded(const Body& body) -> decltype(body()) {
    try {
      return body();
    } catch (const Error& error) {
      try {
        synchronizeDevice();
        Buffer probe(256);
        probe.fill(0);
        synchronizeDevice();
      } catch (const Error&) {
        throw DeviceLost(error.what());
      }
      throw;
    }
  }

  const Problem& problem;
  const DeviceInfo& gpu;
  const Candidates& candidates;
  const Oracle& oracle;
  Kernels kernels;
  Stopwatch stopwatch;
  std::optional<Verifier> verifier;
  std::optional<DeviceCall> call;
  std::map<int, PreparedKernel> kernelOf;
  std::map<int, double> warm;  ///< Microseconds of one launch of those that have warmed up.
};

class DatabaseJournal final : public Journal {
public:
  DatabaseJournal(const Problem& problem, const DeviceInfo& gpu, Database* database)
      : problem(problem), gpu(gpu), database(database) {}

  std::vector<Trial> known() const override {
    return database ? database->trials(problem, gpu) : std::vector<Trial>();
  }
  void note(const Trial& trial) override {
    if (database)
      database->note(problem, gpu, trial);
  }

private:
  const Problem& problem;
  const DeviceInfo& gpu;
  Database* database;
};

}  // namespace

TuningResult tune(const Problem& problem, int gpu, const Oracle& oracle, Database& database,
                  const TuneOptions& options) {
  const DeviceInfo info = deviceInfo(gpu);
  cuda::ContextScope scope(gpu);
  const Candidates all = candidates(*problem.plan, problem.family, problem.signature, info.limits,
                                    problem.shape.batch * problem.shape.heads);
  GpuLaboratory laboratory(problem, info, all, oracle);
  DatabaseJournal journal(problem, info, options.useDatabase ? &database : nullptr);
  TuningResult result = search(all, laboratory, journal, options);
  if (options.useDatabase)
    database.store(problem, info, result);
  return result;
}

}  // namespace lathe
