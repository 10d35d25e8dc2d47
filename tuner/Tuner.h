// Choosing a tile: by what was tuned on this GPU, else by the model; and the tuning itself.
#pragma once

#include "compiler/cuda/Space.h"
#include "runtime/Device.h"
#include "tuner/Workload.h"

#include <filesystem>
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
  std::string reason = "";  ///< Why it was pruned or rejected.
  double microseconds = 0,
         mad = 0;    ///< Median and median absolute deviation; 0 where it was not timed.
  double error = 0;  ///< The largest error ratio against the oracle; 0 where it was not checked.
  std::string source = "";  ///< sourceDigest of the kernel; empty where none was written.
};

const char* name(Trial::Outcome outcome);

struct TuningResult {
  Tile winner;
  double microseconds = 0, mad = 0;
  std::vector<Trial> trials;  ///< In canonical order.
  double seconds = 0;         ///< That tuning took.
};

/// Where a tile came from.
enum class ChoiceOrigin { tuned, nearby, model };

const char* name(ChoiceOrigin origin);  ///< "tuned", "nearby", "model"

struct Choice {
  Tile tile;
  ChoiceOrigin origin = ChoiceOrigin::model;
};

/// The tuning results of one user: a folder of small JSON files, one for each GPU model, and any
/// number of such folders that are only read. A file is replaced by one rename, under a lock, so
/// that readers need none and no writer loses the records of another. Never fatal: a damaged file
/// counts as absent and a folder that cannot be written keeps nothing, each with one warning.
class Database {
public:
  /// `folder`, else LATHE_TUNING_DIR, else `tuning` beside the kernel cache (none where LATHE_CACHE
  /// is off, only read where it is ro); LATHE_TUNING_PATH names folders that are searched after it,
  /// separated by colons.
  explicit Database(const std::string& folder = "");

  /// The winner for this GPU model and everything of the problem but its shape, which counts by
  /// its bucket: that of the same bucket (`exact`), or of the nearest one there is.
  std::optional<Trial> find(const Problem& problem, const DeviceInfo& gpu, bool exact) const;

  /// Keeps the winner for others, and of the trials only those that were rejected.
  void store(const Problem& problem, const DeviceInfo& gpu, const TuningResult& result);

  /// What an unfinished tuning of this very problem has measured, and which tiles were ever
  /// rejected for it in any bucket.
  std::vector<Trial> trials(const Problem& problem, const DeviceInfo& gpu) const;
  void note(const Problem& problem, const DeviceInfo& gpu, const Trial& trial);

  /// Where the records of a GPU model lie; empty where there is no folder.
  std::filesystem::path fileOf(const DeviceInfo& gpu) const;

private:
  std::filesystem::path root;
  std::vector<std::filesystem::path> layers;
};

/// What of a kernel decides whether it is right and how fast it is: the SHA-256 of its text without
/// the lines that only point into the spec.
std::string sourceDigest(const KernelSource& kernel);

/// The record of the same bucket, else of the nearest one, else the model's first. A record whose
/// kernel would be another today does not count. Never compiles and never measures. Throws
/// std::invalid_argument where no tile can run the problem.
Choice choose(const Problem& problem, const DeviceInfo& gpu, const Database& database);

/// As if nothing had been tuned. Throws as `choose`.
Choice chooseByModel(const Problem& problem, const DeviceInfo& gpu);

struct TuneOptions {
  int limit = 64;  ///< Candidates that are compiled, best first by the model.
  double budgetSeconds = 120;
  bool useDatabase = true;  ///< Go on from trials that an interrupted run left; store the winner.
  int threads = 0;          ///< That compile; 0: all cores.
  /// Called after each step: what it is doing, how much is done, of how much.
  std::function<void(const std::string& step, int done, int total)> progress = {};
};

/// Compiles, checks and times the candidates on the GPU `gpu`; stores and returns the winner.
/// Throws Error where no candidate is right, and where a kernel broke the GPU's context (an illegal
/// address): that one is then noted in the database, and the next run passes it over.
TuningResult tune(const Problem& problem, int gpu, const Oracle& oracle, Database& database,
                  const TuneOptions& options);

}  // namespace lathe
