// The search, in a laboratory on paper.
#include "tuner/Funnel.h"

#include "tests/tuner/Support.h"

#include <atomic>
#include <map>
#include <mutex>

namespace lathe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Outcome = Trial::Outcome;

struct PaperLaboratory : Laboratory {
  struct Kernel {
    double microseconds = 100;
    int spilled = 0;
    std::string source = "";  ///< Empty: its own.
    std::string compileError = "";
    std::string wrong = "";  ///< Why it is not right.
    std::string crash = "";  ///< What the driver says when it runs ...
    bool losesGpu = false;   ///< ... and whether that was the end.
    bool hangs = false;      ///< Ends the process, as whoever waits for it would.
  };
  std::vector<Kernel> kernels;
  std::mutex mutex;
  std::vector<int> compiled, verified;
  std::map<int, int> launches;
  std::string problem;  ///< Of the set-up.
  int setUps = 0;

  std::string digest(int tile) override {
    const std::string& source = kernels[tile].source;
    return source.empty() ? "source " + std::to_string(tile) : source;
  }
  int compile(int tile) override {
    std::lock_guard lock(mutex);
    compiled.push_back(tile);
    if (!kernels[tile].compileError.empty())
      throw Error(kernels[tile].compileError);
    return kernels[tile].spilled;
  }
  void setUp() override {
    if (!problem.empty())
      throw Error(problem);
    ++setUps;
  }
  Verdict verify(int tile) override {
    EXPECT_EQ(setUps, 1);
    verified.push_back(tile);
    const Kernel& kernel = kernels[tile];
    if (kernel.hangs)
      throw std::string("killed");
    if (kernel.losesGpu)
      throw DeviceLost(kernel.crash);
    if (!kernel.crash.empty())
      throw Error(kernel.crash);
    return {kernel.wrong.empty(), 0.001, kernel.wrong};
  }
  std::vector<double> sample(int tile, int repeats) override {
    launches[tile] += repeats;
    return std::vector<double>(repeats, kernels[tile].microseconds);
  }
};

struct PaperJournal : Journal {
  std::vector<Trial> trials;

  std::vector<Trial> known() const override { return trials; }
  void note(const Trial& trial) override {
    std::erase_if(trials, [&](const Trial& old) { return old.tile == trial.tile; });
    trials.push_back(trial);
  }
};

struct Funnel : testing::Test {
  Candidates candidates;
  PaperLaboratory laboratory;
  PaperJournal journal;
  TuneOptions options;

  /// Candidates that differ in `chunk`, which is their number.
  void make(const std::vector<double>& microseconds) {
    for (double time : microseconds) {
      candidates.tiles.push_back({.chunk = int(candidates.tiles.size())});
      laboratory.kernels.push_back({.microseconds = time});
    }
  }
  TuningResult run() {
    laboratory.setUps = 0;
    return search(candidates, laboratory, journal, options);
  }
  std::string error() {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
};

TEST_F(Funnel, TheFastestWins) {
  make({100, 90, 50, 80, 120, 70, 200});
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 2);
  EXPECT_EQ(result.microseconds, 50);
  ASSERT_EQ(result.trials.size(), 7u);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(result.trials[i].tile.chunk, i);
  EXPECT_EQ(result.trials[2].outcome, Outcome::winner);
  EXPECT_EQ(result.trials[0].outcome, Outcome::finalist);  // the model's first stays to the end
  EXPECT_EQ(result.trials[6].outcome, Outcome::slower);
  EXPECT_EQ(result.trials[6].microseconds, 200);
  EXPECT_EQ(laboratory.launches[6], 5);
  EXPECT_GE(laboratory.launches[2], 40);
}

TEST_F(Funnel, TiesGoToTheModel) {
  auto pick = [](std::vector<Timing> timings) { return firstOfTie(timings); };
  EXPECT_EQ(pick({{100.9, 0}, {100, 0}}), 0u);
  EXPECT_EQ(pick({{101.1, 0}, {100, 0}}), 1u);
  EXPECT_EQ(pick({{104, 0}, {100, 2}, {99.9, 0}}), 1u);
  EXPECT_EQ(pick({{104, 0}, {100, 2}}), 0u);
  EXPECT_EQ(pick({{104.1, 0}, {100, 2}}), 1u);
  EXPECT_EQ(pick({{100, 50}, {90, 0}}), 1u);  // only the fastest's own deviation counts
  EXPECT_EQ(pick({{7, 0}}), 0u);
  make({100.5, 100});
  EXPECT_EQ(run().winner.chunk, 0);
}

TEST_F(Funnel, ManyCandidatesAreHalvedInRounds) {
  std::vector<double> times;
  for (int i = 0; i < 64; ++i)
    times.push_back(100 + (i * 37) % 64);
  make(times);
  TuningResult result = run();
  EXPECT_EQ(result.microseconds, 100);
  int finalists = 0;
  for (const Trial& trial : result.trials)
    finalists += trial.outcome == Outcome::finalist || trial.outcome == Outcome::winner;
  EXPECT_LE(finalists, 4);
  EXPECT_GE(finalists, 3);
}

TEST_F(Funnel, TheLimitAndThePrunedAreReported) {
  make({5, 4, 3});
  candidates.pruned.push_back({{.chunk = 99}, "too large"});
  options.limit = 2;
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 1);
  EXPECT_EQ(result.trials[2].outcome, Outcome::pruned);
  EXPECT_EQ(result.trials[2].reason, "ranked behind the limit by the model");
  EXPECT_EQ(result.trials[3].reason, "too large");
  EXPECT_EQ(laboratory.compiled.size(), 2u);
}

TEST_F(Funnel, OneKernelIsCompiledOnce) {
  make({5, 4, 3});
  laboratory.kernels[2].source = "source 0";
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 1);
  EXPECT_EQ(result.trials[2].reason, "the same kernel as " + toString(candidates.tiles[0]));
  EXPECT_EQ(laboratory.compiled.size(), 2u);
}

TEST_F(Funnel, OneKernelInOtherSegmentsIsTimedToo) {
  make({5, 4, 3});
  laboratory.kernels[2].source = "source 0";
  candidates.tiles[2] = candidates.tiles[0];
  candidates.tiles[2].segments = 8;
  TuningResult result = run();
  EXPECT_EQ(result.winner.segments, 8);
}

TEST_F(Funnel, SpillsAndRefusalsLeave) {
  make({5, 1, 2});
  laboratory.kernels[1].spilled = 8;
  laboratory.kernels[2].compileError = "error: no";
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 0);
  EXPECT_EQ(result.trials[1].outcome, Outcome::spills);
  EXPECT_EQ(result.trials[1].reason, "spills 8 bytes");
  EXPECT_EQ(result.trials[2].outcome, Outcome::rejected);
  EXPECT_THAT(laboratory.verified, ElementsAre(0));
}

TEST_F(Funnel, WhereAllSpillTheyStay) {
  make({5, 4});
  laboratory.kernels[0].spilled = laboratory.kernels[1].spilled = 8;
  EXPECT_EQ(run().winner.chunk, 1);
}

TEST_F(Funnel, AWrongKernelNeverWins) {
  make({5, 1});
  laboratory.kernels[1].wrong = "output 'o' is off";
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 0);
  EXPECT_EQ(result.trials[1].outcome, Outcome::rejected);
  EXPECT_EQ(result.trials[1].reason, "output 'o' is off");
  EXPECT_EQ(laboratory.launches.count(1), 0u);
  // And is not asked again.
  laboratory.verified.clear();
  run();
  EXPECT_THAT(laboratory.verified, testing::IsEmpty());
  // Unless its kernel has changed.
  laboratory.kernels[1] = {.microseconds = 1, .source = "repaired"};
  EXPECT_EQ(run().winner.chunk, 1);
}

TEST_F(Funnel, WhereNoneIsRightThatIsAnError) {
  make({5, 1});
  laboratory.kernels[0].wrong = "wrong";
  laboratory.kernels[1].crash = "CUDA_ERROR_INVALID_VALUE";
  EXPECT_EQ(error(), "no candidate could be used: " + toString(candidates.tiles[0]) + ": wrong; " +
                         toString(candidates.tiles[1]) + ": CUDA_ERROR_INVALID_VALUE");
}

TEST_F(Funnel, WhatAllShareIsNoFaultOfACandidate) {
  make({5, 1});
  laboratory.problem = "no memory for the call";
  EXPECT_EQ(error(), "no memory for the call");
  EXPECT_TRUE(journal.trials.empty());
}

TEST_F(Funnel, WhatIsKnownIsNotMeasuredAgain) {
  make({5, 1});
  run();
  laboratory.verified.clear();
  EXPECT_EQ(run().winner.chunk, 1);
  EXPECT_THAT(laboratory.verified, testing::IsEmpty());
  EXPECT_EQ(laboratory.setUps, 1);  // for the finals
}

TEST_F(Funnel, ALostGpuEndsTheRunAndTheNextGoesOn) {
  make({5, 4, 3});
  laboratory.kernels[1].crash = "CUDA_ERROR_ILLEGAL_ADDRESS";
  laboratory.kernels[1].losesGpu = true;
  EXPECT_EQ(error(), "tile " + toString(candidates.tiles[1]) +
                         " broke the GPU's context: CUDA_ERROR_ILLEGAL_ADDRESS; it is rejected, "
                         "run the tuner again to go on without it");
  EXPECT_THAT(laboratory.verified, ElementsAre(0, 1));
  laboratory.verified.clear();
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 2);
  EXPECT_EQ(result.trials[1].reason, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_THAT(laboratory.verified, ElementsAre(2));  // 0 was measured by the first run
}

TEST_F(Funnel, AHangIsTriedTwice) {
  make({5, 4, 3});
  laboratory.kernels[1].hangs = true;
  EXPECT_THROW(run(), std::string);
  EXPECT_EQ(journal.trials.back().outcome, Outcome::rejected);
  EXPECT_THROW(run(), std::string);
  EXPECT_THAT(laboratory.verified, ElementsAre(0, 1, 1));
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 2);
  EXPECT_EQ(result.trials[1].reason, "two runs of the tuner ended while this kernel ran");
  EXPECT_THAT(laboratory.verified, ElementsAre(0, 1, 1, 2));
}

TEST_F(Funnel, AnInterruptedKernelThatIsRightStays) {
  make({5, 4});
  laboratory.kernels[1].hangs = true;
  EXPECT_THROW(run(), std::string);
  laboratory.kernels[1].hangs = false;
  EXPECT_EQ(run().winner.chunk, 1);
}

TEST_F(Funnel, WithoutTimeTheModelsFirstIsStillMeasured) {
  make({5, 1, 2});
  options.budgetSeconds = 0;
  options.threads = 1;
  TuningResult result = run();
  EXPECT_EQ(result.winner.chunk, 0);
  EXPECT_EQ(result.trials[1].reason, "the time was over");
}

TEST_F(Funnel, ProgressIsReported) {
  make({5, 4, 3});
  std::map<std::string, int> last;
  options.progress = [&](const std::string& step, int done, int total) {
    EXPECT_GT(done, 0);
    EXPECT_LE(done, total);
    last[step] = done;
  };
  run();
  EXPECT_EQ(last["compile"], 3);
  EXPECT_EQ(last["check and time"], 3);
  EXPECT_EQ(last["compare the finalists"], 10);
}

}  // namespace
}  // namespace lathe
