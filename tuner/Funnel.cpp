#include "tuner/Funnel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace lathe {

namespace {

using Outcome = Trial::Outcome;

constexpr int firstRepeats = 5, secondRepeats = 20, finalRounds = 10, finalRepeats = 4;
constexpr int fewestFinalists = 3;

// A candidate is marked before it runs, so that one that hangs is found out by the runs after it.
const char* const interrupted = "a run of the tuner ended while this kernel ran";
const char* const interruptedTwice = "two runs of the tuner ended while this kernel ran";

class Search {
public:
  Search(const Candidates& candidates, Laboratory& laboratory, Journal& journal,
         const TuneOptions& options)
      : candidates(candidates), laboratory(laboratory), journal(journal), options(options),
        total(std::clamp(options.limit, 1, int(candidates.tiles.size()))) {}

  TuningResult run() {
    for (const Tile& tile : candidates.tiles)
      trials.push_back({.tile = tile, .reason = "ranked behind the limit by the model"});
    const std::vector<int> distinct = dropCopies();
    const std::vector<int> measured = measure(compile(distinct));
    if (measured.empty())
      throw Error("no candidate could be used: " + complaints());
    TuningResult result = decide(narrow(measured, secondRepeats));
    for (const Pruned& pruned : candidates.pruned)
      trials.push_back({.tile = pruned.tile, .reason = pruned.reason});
    result.trials = std::move(trials);
    result.seconds = elapsed();
    return result;
  }

private:
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  bool overtime(double share) const { return elapsed() > share * options.budgetSeconds; }

  void report(const std::string& step, int done, int of) const {
    if (options.progress)
      options.progress(step, done, of);
  }

  void drop(int tile, Outcome outcome, std::string reason) {
    trials[tile].outcome = outcome;
    trials[tile].reason = std::move(reason);
  }

  /// Two tiles may give one kernel, where a number of theirs is not read; those that differ in
  /// segments give one source, but not one launch.
  std::vector<int> dropCopies() {
    std::map<std::pair<std::string, int>, int> seen;
    std::vector<int> distinct;
    for (int tile = 0; tile < total; ++tile) {
      trials[tile].source = laboratory.digest(tile);
      auto [first, added] =
          seen.emplace(std::pair(trials[tile].source, candidates.tiles[tile].segments), tile);
      if (added)
        distinct.push_back(tile);
      else
        drop(tile, Outcome::pruned, "the same kernel as " + toString(trials[first->second].tile));
    }
    return distinct;
  }

  /// In parallel; the model's first in any case, the others while half of the time lasts.
  std::vector<int> compile(const std::vector<int>& tiles) {
    std::atomic<int> next = 0, done = 0;
    std::mutex mutex;
    auto work = [&] {
      for (int i; (i = next++) < int(tiles.size());) {
        int tile = tiles[i];
        Outcome outcome = Outcome::finalist;
        std::string reason;
        if (i > 0 && overtime(0.5)) {
          outcome = Outcome::pruned;
          reason = "the time was over";
        } else {
          try {
            if (int spilled = laboratory.compile(tile)) {
              outcome = Outcome::spills;
              reason = "spills " + std::to_string(spilled) + " bytes";
            }
          } catch (const Error& error) {
            outcome = Outcome::rejected;
            reason = error.what();
          }
        }
        std::lock_guard lock(mutex);
        drop(tile, outcome, reason);
        report("compile", ++done, int(tiles.size()));
      }
    };
    int cores = std::max(1u, std::thread::hardware_concurrency());
    int threads = std::min<int>(options.threads > 0 ? options.threads : cores, int(tiles.size()));
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i)
      others.emplace_back(work);
    work();
    for (std::thread& other : others)
      other.join();

    std::vector<int> compiled;
    for (int tile : tiles)
      if (trials[tile].outcome == Outcome::finalist)
        compiled.push_back(tile);
    // A kernel that spills is slow, but better than none.
    if (compiled.empty())
      for (int tile : tiles)
        if (trials[tile].outcome == Outcome::spills)
          compiled.push_back(tile);
    return compiled;
  }

  /// Verifies each and times it a few times; those that are left.
  std::vector<int> measure(const std::vector<int>& tiles) {
    const std::vector<Trial> known = journal.known();
    std::vector<int> measured;
    int done = 0;
    for (int tile : tiles) {
      if (!measured.empty() && overtime(1))
        drop(tile, Outcome::pruned, "the time was over");
      else if (recall(tile, known) || measureOne(tile))
        if (trials[tile].outcome == Outcome::finalist)
          measured.push_back(tile);
      report("check and time", ++done, int(tiles.size()));
    }
    return measured;
  }

  /// Whether an earlier run has settled a candidate.
  bool recall(int tile, const std::vector<Trial>& known) {
    Trial& trial = trials[tile];
    const Trial* found = nullptr;
    for (const Trial& old : known)
      if (old.tile == trial.tile && old.source == trial.source &&
          (!found || old.outcome == Outcome::rejected))
        found = &old;
    if (!found)
      return false;
    if (found->reason == interrupted) {
      retried = true;
      return false;
    }
    trial = *found;
    return true;
  }

  /// False where the candidate was rejected.
  bool measureOne(int tile) {
    Trial& trial = trials[tile];
    setUp();
    drop(tile, Outcome::rejected, retried ? interruptedTwice : interrupted);
    retried = false;
    journal.note(trial);
    try {
      Verdict verdict = laboratory.verify(tile);
      trial.error = verdict.error;
      if (verdict.passed) {
        Timing timing = summarise(laboratory.sample(tile, firstRepeats));
        trial.microseconds = timing.microseconds;
        trial.mad = timing.mad;
        drop(tile, Outcome::finalist, "");
      } else {
        drop(tile, Outcome::rejected, verdict.reason);
      }
    } catch (const DeviceLost& error) {
      lost(tile, error);
    } catch (const Error& error) {
      drop(tile, Outcome::rejected, error.what());
    }
    journal.note(trial);
    return trial.outcome == Outcome::finalist;
  }

  /// Successive halving, by quarters: the slower ones leave, the others are timed longer. The
  /// model's first stays, so that tuning never loses against it.
  std::vector<int> narrow(std::vector<int> tiles, int repeats) {
    while (int(tiles.size()) > fewestFinalists) {
      int keep = std::max<int>(fewestFinalists, (int(tiles.size()) + 3) / 4);
      std::vector<int> byTime = tiles;
      std::sort(byTime.begin(), byTime.end(), [&](int a, int b) {
        return std::pair(trials[a].microseconds, a) < std::pair(trials[b].microseconds, b);
      });
      for (std::size_t i = keep; i < byTime.size(); ++i)
        if (byTime[i] != tiles.front())
          trials[byTime[i]].outcome = Outcome::slower;
      std::erase_if(tiles, [&](int tile) { return trials[tile].outcome == Outcome::slower; });
      if (int(tiles.size()) <= fewestFinalists + 1)
        break;
      for (int tile : tiles)
        take(tile, sample(tile, repeats));
      repeats *= 4;
    }
    return tiles;
  }

  [[noreturn]] void lost(int tile, const DeviceLost& error) {
    drop(tile, Outcome::rejected, error.what());
    journal.note(trials[tile]);
    throw Error("tile " + toString(trials[tile].tile) + " broke the GPU's context: " +
                error.what() + "; it is rejected, run the tuner again to go on without it");
  }

  void setUp() {
    if (!ready)
      laboratory.setUp();
    ready = true;
  }

  std::vector<double> sample(int tile, int repeats) {
    setUp();
    try {
      return laboratory.sample(tile, repeats);
    } catch (const DeviceLost& error) {
      lost(tile, error);
    }
  }

  void take(int tile, std::vector<double> samples) {
    Timing timing = summarise(std::move(samples));
    trials[tile].microseconds = timing.microseconds;
    trials[tile].mad = timing.mad;
  }

  /// The finalists in turns, so that a change of clocks meets all of them.
  TuningResult decide(const std::vector<int>& finalists) {
    std::vector<std::vector<double>> samples(finalists.size());
    for (int round = 0; round < finalRounds; ++round) {
      for (std::size_t i = 0; i < finalists.size(); ++i)
        for (double one : sample(finalists[i], finalRepeats))
          samples[i].push_back(one);
      report("compare the finalists", round + 1, finalRounds);
    }
    std::vector<Timing> timings;
    for (std::size_t i = 0; i < finalists.size(); ++i) {
      take(finalists[i], samples[i]);
      timings.push_back({trials[finalists[i]].microseconds, trials[finalists[i]].mad});
      trials[finalists[i]].outcome = Outcome::finalist;
    }
    Trial& winner = trials[finalists[firstOfTie(timings)]];
    winner.outcome = Outcome::winner;
    return {winner.tile, winner.microseconds, winner.mad, {}, 0};
  }

  std::string complaints() const {
    std::string text;
    for (int tile = 0; tile < total; ++tile)
      text += (text.empty() ? "" : "; ") + toString(trials[tile].tile) + ": " + trials[tile].reason;
    return text;
  }

  const Candidates& candidates;
  Laboratory& laboratory;
  Journal& journal;
  const TuneOptions& options;
  const int total;
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  std::vector<Trial> trials;
  bool retried = false, ready = false;
};

}  // namespace

std::size_t firstOfTie(std::span<const Timing> timings) {
  const Timing best =
      *std::min_element(timings.begin(), timings.end(), [](const Timing& a, const Timing& b) {
        return a.microseconds < b.microseconds;
      });
  const double limit = best.microseconds + std::max(0.01 * best.microseconds, 2 * best.mad);
  return std::size_t(std::find_if(timings.begin(), timings.end(),
                                  [&](const Timing& t) { return t.microseconds <= limit; }) -
                     timings.begin());
}

TuningResult search(const Candidates& candidates, Laboratory& laboratory, Journal& journal,
                    const TuneOptions& options) {
  return Search(candidates, laboratory, journal, options).run();
}

}  // namespace lathe
