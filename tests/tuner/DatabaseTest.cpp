#include "cache/Files.h"
#include "tests/tuner/Support.h"
#include "tuner/Record.h"

#include <set>

namespace lathe {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

struct DatabaseTest : test::TunerTest {
  Database database{folder.path.string()};
};

TEST_F(DatabaseTest, WhatIsStoredIsFound) {
  EXPECT_FALSE(database.find(problem, gpu, true));
  EXPECT_FALSE(database.find(problem, gpu, false));
  Trial winner = trialOf(1, 12.5);
  database.store(problem, gpu, resultOf(winner));
  for (bool exact : {true, false}) {
    std::optional<Trial> found = Database(folder.path.string()).find(problem, gpu, exact);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->tile, winner.tile);
    EXPECT_EQ(found->outcome, Trial::Outcome::winner);
    EXPECT_EQ(found->microseconds, 12.5);
    EXPECT_EQ(found->mad, winner.mad);
    EXPECT_EQ(found->error, winner.error);
    EXPECT_EQ(found->source, winner.source);
  }
}

TEST_F(DatabaseTest, AnotherProblemHasAnotherKey) {
  const std::string key = problemKey(problem);
  Problem other = problem;
  other.family = Family::sequential;
  EXPECT_NE(problemKey(other), key);
  other = problem;
  other.signature.dims["K"] = 128;
  EXPECT_NE(problemKey(other), key);
  other = problem;
  other.signature.dtypes[5] = DType::bf16;
  EXPECT_NE(problemKey(other), key);
  other = problem;
  other.signature.compute = DType::f16;
  EXPECT_NE(problemKey(other), key);
  Plan meaning = plan;
  meaning.recurrences[0].logDecays.clear();
  other = problem;
  other.plan = &meaning;
  EXPECT_NE(problemKey(other), key);
}

TEST_F(DatabaseTest, PairedHeadsAreAProblemOfTheirOwn) {
  Problem other = problem;
  other.signature.pairedHeads = true;
  EXPECT_NE(problemKey(other), problemKey(problem));
}

TEST_F(DatabaseTest, TheShapeAndThePlaceInTheFileAreNotInTheKey) {
  EXPECT_EQ(problemKey(withShape(1, 5, 1)), problemKey(problem));
  Plan moved = plan;
  for (Operand& operand : moved.operands)
    operand.line += 3;
  moved.remarks.push_back({1, 1, "a remark"});
  Problem other = problem;
  other.plan = &moved;
  EXPECT_EQ(problemKey(other), problemKey(problem));
  EXPECT_EQ(sourceDigest(emit(moved, problem.family, problem.signature, trialOf(0).tile)),
            trialOf(0).source);
}

TEST_F(DatabaseTest, ShapesCountByPowersOfTwo) {
  EXPECT_EQ(bucketOf({2, 1024, 16}), (Bucket{10, 5}));
  EXPECT_EQ(bucketOf({1, 2047, 63}), (Bucket{10, 5}));
  EXPECT_EQ(bucketOf({1, 2048, 64}), (Bucket{11, 6}));
  EXPECT_EQ(bucketOf({1, 1, 1}), (Bucket{0, 0}));
  EXPECT_EQ(bucketOf({0, 0, 4}), (Bucket{0, 0}));
  database.store(problem, gpu, resultOf(trialOf(1)));
  EXPECT_TRUE(database.find(withShape(1, 2000, 40), gpu, true));
  EXPECT_FALSE(database.find(withShape(2, 2048, 16), gpu, true));
  EXPECT_FALSE(database.find(withShape(4, 1024, 16), gpu, true));
}

TEST_F(DatabaseTest, TheNearestBucketIsFound) {
  database.store(withShape(1, 1024, 16), gpu, resultOf(trialOf(0)));
  database.store(withShape(1, 65536, 16), gpu, resultOf(trialOf(1)));
  database.store(withShape(8, 65536, 16), gpu, resultOf(trialOf(2)));
  auto nearest = [&](const Problem& wanted) { return database.find(wanted, gpu, false)->tile; };
  EXPECT_EQ(nearest(withShape(1, 4096, 16)), trialOf(0).tile);
  EXPECT_EQ(nearest(withShape(1, 32768, 16)), trialOf(1).tile);
  EXPECT_EQ(nearest(withShape(64, 65536, 16)), trialOf(2).tile);
}

TEST_F(DatabaseTest, ANewWinnerReplacesTheOld) {
  database.store(problem, gpu, resultOf(trialOf(0)));
  database.store(problem, gpu, resultOf(trialOf(2)));
  EXPECT_EQ(database.find(problem, gpu, true)->tile, trialOf(2).tile);
  nlohmann::json file = nlohmann::json::parse(test::readAll(database.fileOf(gpu)));
  EXPECT_EQ(file.at("records").size(), 1u);
  EXPECT_EQ(file.at("gpu").at("name"), "NVIDIA H200");
  EXPECT_EQ(file.at("records")[0].at("driver"), 12080);
  EXPECT_EQ(file.at("records")[0].at("variant"), "retention");
}

TEST_F(DatabaseTest, AnotherGpuHasItsOwnFile) {
  database.store(problem, gpu, resultOf(trialOf(0)));
  DeviceInfo other = test::paperGpu("NVIDIA H100 80GB HBM3");
  EXPECT_FALSE(database.find(problem, other, false));
  DeviceInfo half = gpu;
  half.limits.multiprocessors = 66;
  EXPECT_FALSE(database.find(problem, half, false));
  EXPECT_EQ(database.fileOf(gpu).filename(), "nvidia-h200-132.json");
}

TEST_F(DatabaseTest, ADamagedFileIsIgnoredWithOneWarning) {
  database.store(problem, gpu, resultOf(trialOf(0)));
  for (const char* damage :
       {"", "{", "[]", "{\"schema\": 1}", "{\"schema\": 99, \"records\": []}"}) {
    test::Folder other;
    Database damaged(other.path.string());
    test::writeAll(damaged.fileOf(gpu), damage);
    testing::internal::CaptureStderr();
    EXPECT_FALSE(damaged.find(problem, gpu, true));
    EXPECT_FALSE(damaged.find(problem, gpu, false));
    std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("lathe: warning: tuning results in " + damaged.fileOf(gpu).string() +
                               " are damaged and ignored: "));
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
    damaged.store(problem, gpu, resultOf(trialOf(1)));
    EXPECT_EQ(damaged.find(problem, gpu, true)->tile, trialOf(1).tile);
  }
}

TEST_F(DatabaseTest, AFolderThatCannotBeWrittenKeepsNothing) {
  test::writeAll(folder.path / "file", "");
  Database nowhere((folder.path / "file" / "tuning").string());
  testing::internal::CaptureStderr();
  nowhere.store(problem, gpu, resultOf(trialOf(0)));
  nowhere.note(problem, gpu, trialOf(0));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("tuning results cannot be kept in "));
  EXPECT_FALSE(nowhere.find(problem, gpu, false));
  EXPECT_TRUE(nowhere.trials(problem, gpu).empty());
}

TEST_F(DatabaseTest, ATileKeepsItsForm) {
  const Tile tile{64, 64, 128, 3, 1, 1, Form::sm90a, 8};
  nlohmann::json json = tile;
  EXPECT_EQ(json.at("form"), "sm_90a");
  EXPECT_EQ(json.at("segments"), 8);
  EXPECT_EQ(json.get<Tile>(), tile);
  json.erase("form");
  json.erase("segments");
  EXPECT_EQ(json.get<Tile>().form, Form::portable);
  EXPECT_EQ(json.get<Tile>().segments, 0);
  json["form"] = "sm_70";
  try {
    json.get<Tile>();
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "a tile's form is 'sm_70'; it must be portable, sm_90a or general");
  }
}

TEST_F(DatabaseTest, TheEnvironmentNamesTheFolder) {
  test::Variable cache("LATHE_CACHE_DIR", (folder.path / "cache").string());
  {
    test::Variable none("LATHE_TUNING_DIR", nullptr);
    EXPECT_EQ(Database().fileOf(gpu), folder.path / "cache" / "tuning" / "nvidia-h200-132.json");
    test::Variable off("LATHE_CACHE", "off");
    EXPECT_TRUE(Database().fileOf(gpu).empty());
    Database().store(problem, gpu, resultOf(trialOf(0)));
    EXPECT_FALSE(Database().find(problem, gpu, false));
  }
  test::Variable given("LATHE_TUNING_DIR", (folder.path / "own").string());
  EXPECT_EQ(Database().fileOf(gpu), folder.path / "own" / "nvidia-h200-132.json");
}

TEST_F(DatabaseTest, AReadOnlyCacheIsReadAndNotWritten) {
  Database((folder.path / "tuning").string()).store(problem, gpu, resultOf(trialOf(0)));
  test::Variable none("LATHE_TUNING_DIR", nullptr);
  test::Variable cache("LATHE_CACHE_DIR", folder.path.string());
  test::Variable mode("LATHE_CACHE", "ro");
  Database().store(problem, gpu, resultOf(trialOf(1)));
  ASSERT_TRUE(Database().find(problem, gpu, true));
  EXPECT_EQ(Database().find(problem, gpu, true)->tile, trialOf(0).tile);
}

TEST_F(DatabaseTest, FoldersOfOthersAreReadAfterTheOwn) {
  test::Folder others;
  Database(others.path.string()).store(problem, gpu, resultOf(trialOf(1)));
  test::Variable path("LATHE_TUNING_PATH", "/nonexistent::" + others.path.string());
  Database own(folder.path.string());
  EXPECT_EQ(own.find(problem, gpu, true)->tile, trialOf(1).tile);
  own.store(problem, gpu, resultOf(trialOf(2)));
  EXPECT_EQ(own.find(problem, gpu, true)->tile, trialOf(2).tile);
  EXPECT_EQ(Database(others.path.string()).find(problem, gpu, true)->tile, trialOf(1).tile);
}

TEST_F(DatabaseTest, TrialsLastUntilTheWinnerIsStored) {
  Trial measured = trialOf(0), rejected = trialOf(1);
  measured.outcome = Trial::Outcome::finalist;
  rejected.outcome = Trial::Outcome::rejected;
  rejected.reason = "off by \xff, which is no UTF-8";
  database.note(problem, gpu, rejected);
  database.note(problem, gpu, measured);
  database.note(problem, gpu, rejected);
  EXPECT_EQ(database.trials(problem, gpu).size(), 2u);
  // What was rejected is rejected for all shapes; a time is of its own.
  std::vector<Trial> elsewhere = database.trials(withShape(1, 8, 1), gpu);
  ASSERT_EQ(elsewhere.size(), 1u);
  EXPECT_EQ(elsewhere[0].tile, rejected.tile);
  EXPECT_THAT(elsewhere[0].reason, HasSubstr("off by"));
  database.store(problem, gpu, resultOf(trialOf(0)));
  ASSERT_EQ(database.trials(problem, gpu).size(), 1u);
  EXPECT_EQ(database.trials(problem, gpu)[0].tile, rejected.tile);
}

TEST_F(DatabaseTest, TwoProcessesLoseNothing) {
  constexpr int rounds = 20;
  std::vector<pid_t> children;
  for (int process = 0; process < 2; ++process) {
    pid_t child = fork();
    if (child == 0) {
      Database own(folder.path.string());
      for (int i = 0; i < rounds; ++i)
        own.store(withShape(1, std::int64_t(1) << i, process ? 1 : 2), gpu, resultOf(trialOf(0)));
      _exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (int i = 0; i < rounds; ++i)
    for (int heads : {1, 2})
      EXPECT_TRUE(database.find(withShape(1, std::int64_t(1) << i, heads), gpu, true)) << i;
}

using Choosing = DatabaseTest;

TEST_F(Choosing, WithoutRecordsTheModelChooses) {
  Choice choice = choose(problem, gpu, database);
  EXPECT_EQ(choice.origin, ChoiceOrigin::model);
  EXPECT_EQ(choice.tile, trialOf(0).tile);
}

TEST_F(Choosing, TheRecordOfTheBucketThenTheNearest) {
  database.store(problem, gpu, resultOf(trialOf(2)));
  Choice choice = choose(problem, gpu, database);
  EXPECT_EQ(choice.origin, ChoiceOrigin::tuned);
  EXPECT_EQ(choice.tile, trialOf(2).tile);
  choice = choose(withShape(1, 16384, 4), gpu, database);
  EXPECT_EQ(choice.origin, ChoiceOrigin::nearby);
  EXPECT_EQ(choice.tile, trialOf(2).tile);
}

TEST_F(Choosing, ARecordOfAnotherKernelDoesNotCount) {
  Trial stale = trialOf(2);
  stale.source = "another";
  database.store(problem, gpu, resultOf(stale));
  EXPECT_EQ(choose(problem, gpu, database).origin, ChoiceOrigin::model);
  stale.tile.blockV = 17;  // for which there is no kernel
  database.store(problem, gpu, resultOf(stale));
  EXPECT_EQ(choose(problem, gpu, database).origin, ChoiceOrigin::model);
}

TEST_F(Choosing, TuningCanBeOff) {
  database.store(problem, gpu, resultOf(trialOf(2)));
  {
    test::Variable off("LATHE_TUNING", "off");
    EXPECT_EQ(choose(problem, gpu, database).origin, ChoiceOrigin::model);
  }
  test::Variable wrong("LATHE_TUNING", "maybe");
  testing::internal::CaptureStderr();
  EXPECT_EQ(choose(problem, gpu, database).origin, ChoiceOrigin::tuned);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("LATHE_TUNING is 'maybe', which is none of on, off; using on"));
}

TEST_F(Choosing, TheOrderOfTheCandidatesIsAlwaysTheSame) {
  for (Family family : {Family::scan, Family::step, Family::sequential}) {
    Candidates first = candidates(plan, family, problem.signature, gpu.limits, 32);
    Candidates again = candidates(test::retentionPlan(), family, problem.signature, gpu.limits, 32);
    EXPECT_EQ(first.tiles, again.tiles);
    std::set<Tile> distinct(first.tiles.begin(), first.tiles.end());
    EXPECT_EQ(distinct.size(), first.tiles.size());
  }
}

}  // namespace
}  // namespace lathe
