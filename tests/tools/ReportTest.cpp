#include "tools/lathe/Report.h"

#include "tests/tools/Support.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/Progress.h"

#include <sstream>

namespace lathe::tool {
namespace {

TEST(Report, NumbersAsPeopleReadThem) {
  EXPECT_EQ(numberText(0.1), "0.1");
  EXPECT_EQ(bytesText(999), "999 B");
  EXPECT_EQ(bytesText(12500), "12.5 kB");
  EXPECT_EQ(bytesText(536870912), "537 MB");
  EXPECT_EQ(timeText(12.34e-6), "12.3 us");
  EXPECT_EQ(timeText(0.0123), "12.3 ms");
  EXPECT_EQ(timeText(2), "2.0 s");
}

TEST(Report, TablesAlignNumbersToTheRight) {
  Table table({"name", "us"});
  table.add({"a", "7.5"});
  table.add({"longer", "123.0"});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "  name    us\n  a         7.5\n  longer  123.0\n");
}

TEST(Report, TrialsFastestFirstAndPrunedByReason) {
  TuningResult result;
  const auto add = [&](Trial::Outcome outcome, int blockV, double us, const char* reason) {
    Trial trial;
    trial.outcome = outcome;
    trial.tile.blockV = blockV;
    trial.microseconds = us;
    trial.reason = reason;
    result.trials.push_back(trial);
  };
  add(Trial::Outcome::pruned, 8, 0, "too large");
  add(Trial::Outcome::slower, 16, 9, "");
  add(Trial::Outcome::rejected, 32, 0, "o is wrong");
  add(Trial::Outcome::winner, 64, 5, "");
  add(Trial::Outcome::pruned, 128, 0, "too large");
  std::ostringstream out;
  printTrials(out, result);
  const std::string text = out.str();
  EXPECT_LT(text.find("v64"), text.find("v16"));
  EXPECT_LT(text.find("v16"), text.find("v32"));
  EXPECT_THAT(text, testing::HasSubstr("o is wrong"));
  EXPECT_THAT(text, testing::EndsWith("  pruned 2: too large\n"));
}

TEST(Progress, ABarOnATerminal) {
  std::ostringstream out;
  {
    Progress progress(out, true);
    progress.show("compile", 1, 2);
    EXPECT_THAT(out.str(),
                testing::HasSubstr("\r[###############...............] 1/2 compile, 0 s"));
  }
  EXPECT_THAT(out.str(), testing::EndsWith("\r"));
}

TEST(Progress, LinesElsewhereAndNotTooMany) {
  std::ostringstream out;
  Progress progress(out, false);
  for (int i = 0; i <= 1000; ++i)
    progress.show("measure", i, 1000);
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

}  // namespace
}  // namespace lathe::tool
