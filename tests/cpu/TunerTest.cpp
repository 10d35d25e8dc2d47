// Tuning of the CPU target, end to end: candidates, verification, and what is remembered.
#include "runtime/Error.h"
#include "tests/compiler/Support.h"
#include "tuner/CpuTuner.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

namespace lathe::test {
namespace {

namespace fs = std::filesystem;

class CpuTuner : public testing::Test {
protected:
  CpuTuner() {
    unsetenv("LATHE_TUNING");
    std::string pattern = (fs::temp_directory_path() / "lathe-cpu-tuner-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~CpuTuner() override { fs::remove_all(folder); }

  static Signature signatureOf(const CompiledVariant& variant, DType dtype = DType::f32) {
    Signature signature;
    signature.dims = {{"K", 16}, {"V", 64}};
    signature.dtypes.assign(variant.plan.operands.size(), dtype);
    return signature;
  }

  std::string folder;
};

TEST_F(CpuTuner, MeasuresCandidatesThatAreRight) {
  const CompiledVariant variant = compileLibrary("gla");
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const bool isGradient : {false, true}) {
      const CpuProblem problem{&variant, isGradient, signatureOf(variant, dtype), {1, 40, 2}};
      CpuRecords records(folder);
      const CpuTuningResult result = tuneCpu(problem, records, 60);
      std::set<CpuChoice> choices;
      int winners = 0;
      for (const CpuTrial& trial : result.trials) {
        choices.insert(trial.choice);
        EXPECT_NE(trial.outcome, Trial::Outcome::rejected) << toString(trial.choice);
        EXPECT_GT(trial.microseconds, 0);
        EXPECT_LE(result.microseconds, trial.microseconds);
        EXPECT_LE(trial.error, 1);
        winners += trial.outcome == Trial::Outcome::winner ? 1 : 0;
      }
      EXPECT_EQ(winners, 1);
      EXPECT_EQ(choices.size(), result.trials.size());
      EXPECT_TRUE(choices.contains({1, 0, 0}));
      EXPECT_EQ(choices.contains({1, 16, 0}), !isGradient);
      EXPECT_EQ(choices.contains({1, 0, 8}), isGradient);
      EXPECT_EQ(records.find(problem), result.winner);
    }
}

TEST_F(CpuTuner, ABudgetThatIsSpentStillHasAWinner) {
  const CompiledVariant variant = compileLibrary("gla");
  const CpuProblem problem{&variant, true, signatureOf(variant), {1, 40, 2}};
  CpuRecords records(folder);
  const CpuTuningResult result = tuneCpu(problem, records, 1e-9);
  EXPECT_EQ(result.trials.size(), 1U);
  EXPECT_EQ(result.winner, result.trials[0].choice);
}

TEST_F(CpuTuner, RemembersTheNearestShape) {
  const CompiledVariant variant = compileLibrary("gla");
  CpuProblem problem{&variant, false, signatureOf(variant), {1, 64, 2}};
  CpuTuningResult result;
  result.winner = {1, 16, 0};
  CpuRecords(folder).store(problem, result);
  problem.shape.tokens = 1024;
  result.winner = {2, 32, 0};
  CpuRecords(folder).store(problem, result);

  const CpuRecords records(folder);
  problem.shape.tokens = 70;
  EXPECT_EQ(chooseCpu(problem, records), (CpuChoice{1, 16, 0}));
  problem.shape.tokens = 5000;
  EXPECT_EQ(chooseCpu(problem, records), (CpuChoice{2, 32, 0}));
  constexpr bool exactly = true;
  EXPECT_EQ(records.find(problem, exactly), std::nullopt);
  problem.shape.tokens = 1024;
  EXPECT_EQ(records.find(problem, exactly), (CpuChoice{2, 32, 0}));
  setenv("LATHE_TUNING", "off", 1);
  EXPECT_EQ(chooseCpu(problem, records), CpuChoice());
  unsetenv("LATHE_TUNING");

  CpuProblem other = problem;
  other.isGradient = true;
  EXPECT_EQ(chooseCpu(other, records), CpuChoice());
  other = problem;
  other.signature.dims["V"] = 32;
  EXPECT_EQ(chooseCpu(other, records), CpuChoice());
}

TEST_F(CpuTuner, ADamagedFileCountsAsAbsent) {
  const CompiledVariant variant = compileLibrary("gla");
  const CpuProblem problem{&variant, false, signatureOf(variant), {1, 64, 2}};
  CpuRecords records(folder);
  for (const char* text : {"{", "[]", "{\"schema\": 0}", "{\"schema\": 1, \"records\": [{}]}"}) {
    std::ofstream(records.file()) << text;
    EXPECT_EQ(records.find(problem), std::nullopt) << text;
  }
  CpuTuningResult result;
  result.winner = {1, 16, 0};
  records.store(problem, result);
  EXPECT_EQ(records.find(problem), result.winner);
}

TEST(CpuChoiceText, NamesWhatIsChosen) {
  EXPECT_EQ(toString(CpuChoice{2, 64, 8}), "2 threads, slice 64, spacing 8");
  EXPECT_EQ(toString(CpuChoice{1, 0, 0}), "1 thread");
}

}  // namespace
}  // namespace lathe::test
