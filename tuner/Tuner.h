// Choosing a tile: by what was tuned on this GPU, else by the model; and the tuning itself.
#pragma once

#include "compiler/cuda/Space.h"
#include "runtime/Device.h"
#include "tuner/Workload.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lathe {

/// What is tuned: exact but for the shape, which counts by its buckets.
struct Problem {
  const Plan* plan = nullptr;
  Family family = Family::scan;
  Signature signature;
  Shape shape;
};

/// The interpreter of the spec, as a function: what a call must compute. (The tuner does not know
/// MLIR.)
using Oracle =
    std::function<HostResult(const Plan&, const Signature&, const Shape&, const HostCall&)>;

/// What became of one candidate.
struct Trial {
  enum class Outcome { pruned, spills, rejected, slower, finalist, winner };

  Tile tile;
  Outcome outcome = Outcome::pruned;
  std::string reason;  ///< Why it was pruned or rejected.
  double microseconds = 0,
         mad = 0;    ///< Median and median absolute deviation; 0 where it was not timed.
  double error = 0;  ///< The largest error ratio against the oracle; 0 where it was not checked.
};

struct TuningResult {
  Tile winner;
  double microseconds = 0, mad = 0;
  std::vector<Trial> trials;  ///< In canonical order.
  double seconds = 0;         ///< That tuning took.
};

/// Where a tile came from.
enum class ChoiceOrigin { tuned, nearby, model };

struct Choice {
  Tile tile;
  ChoiceOrigin origin = ChoiceOrigin::model;
};

/// The tuning results of one user: a folder of small JSON files, one for each GPU model; records
/// are appended by rename.
class Database {
public:
  /// LATHE_TUNING_DIR, else `tuning` beside the kernel cache.
  explicit Database(std::string folder = "");

  std::optional<Trial> find(const Problem& problem, const DeviceInfo& gpu, bool exact) const;
  void store(const Problem& problem, const DeviceInfo& gpu, const TuningResult& result);
};

/// Never compiles and never measures.
Choice choose(const Problem& problem, const DeviceInfo& gpu, const Database& database);

struct TuneOptions {
  int limit = 64;  ///< Candidates that are compiled, best first by the model.
  double budgetSeconds = 120;
  bool useDatabase = true;  ///< Go on from trials that an interrupted run left; store the winner.
  int threads = 0;          ///< That compile; 0: all cores.
  /// Called after each step: what it is doing, how much is done, of how much.
  std::function<void(const std::string& step, int done, int total)> progress;
};

/// Compiles, checks and times the candidates on the GPU `gpu`; stores and returns the winner.
TuningResult tune(const Problem& problem, int gpu, const Oracle& oracle, Database& database,
                  const TuneOptions& options);

}  // namespace lathe
