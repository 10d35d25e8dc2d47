// The tuner from end to end, and that a second process finds everything done.
#include "runtime/Device.h"
#include "tests/cache/Support.h"
#include "tests/gpu/Support.h"
#include "tuner/Measure.h"

#include <gmock/gmock.h>

namespace lathe::test {
namespace {

using testing::HasSubstr;

struct Tuning : GpuTest {
  Case one{.variant = "gla", .shape = {2, 512, 8}};
  TuneOptions options{.limit = 6, .budgetSeconds = 60};
  Folder folder;
  Variable cache{"LATHE_CACHE_DIR", folder.path.string()};
  Variable results{"LATHE_TUNING_DIR", (folder.path / "tuning").string()};
};

/// Run by the test below it, in a process of its own with the same folders.
TEST_F(Tuning, DISABLED_SecondProcess) {
  const char* shared = std::getenv("LATHE_TEST_FOLDER");
  const char* tile = std::getenv("LATHE_TEST_TILE");
  ASSERT_TRUE(shared && tile) << "Tuning.TunesChoosesAndIsRemembered runs this";
  Variable folderOfCache("LATHE_CACHE_DIR", shared);
  Variable folderOfResults("LATHE_TUNING_DIR", shared + std::string("/tuning"));
  Problem problem = problemOf(one);
  Choice choice = choose(problem, deviceInfo(device), Database());
  EXPECT_EQ(choice.origin, ChoiceOrigin::tuned);
  EXPECT_EQ(toString(choice.tile), tile);
  Kernels kernels;
  PreparedKernel kernel(kernels, *problem.plan,
                        emit(*problem.plan, problem.family, problem.signature, choice.tile),
                        problem.signature, device);
  EXPECT_EQ(kernel.origin(), Origin::disk);
}

TEST_F(Tuning, TunesChoosesAndIsRemembered) {
  Problem problem = problemOf(one);
  Database database;
  int steps = 0;
  options.progress = [&](const std::string&, int done, int total) {
    ++steps;
    EXPECT_LE(done, total);
  };
  TuningResult result = tune(problem, device, oracle(), database, options);
  EXPECT_GT(steps, 0);
  EXPECT_GT(result.microseconds, 0);
  for (const Trial& trial : result.trials)
    EXPECT_NE(trial.outcome, Trial::Outcome::rejected)
        << toString(trial.tile) << ": " << trial.reason;

  Choice choice = choose(problem, deviceInfo(device), database);
  EXPECT_EQ(choice.origin, ChoiceOrigin::tuned);
  EXPECT_EQ(toString(choice.tile), toString(result.winner));
  Problem longer = problem;
  longer.shape.tokens = 1 << 15;
  EXPECT_EQ(choose(longer, deviceInfo(device), database).origin, ChoiceOrigin::nearby);

  const std::string program = fs::read_symlink("/proc/self/exe").string();
  Variable shared("LATHE_TEST_FOLDER", folder.path.string());
  Variable tile("LATHE_TEST_TILE", toString(result.winner));
  EXPECT_EQ(std::system(("'" + program +
                         "' --gtest_also_run_disabled_tests "
                         "--gtest_filter=Tuning.DISABLED_SecondProcess")
                            .c_str()),
            0);
}

TEST_F(Tuning, WrongKernelsAreRejectedAndNotRunAgain) {
  Problem problem = problemOf(one);
  Database database;
  options.limit = 2;
  int asked = 0;
  Oracle wrong = [&](const Plan& plan, const Signature& signature, const Shape& shape,
                     const HostCall& host) {
    ++asked;
    HostResult result = oracle()(plan, signature, shape, host);
    result.outputs.at("o").data.front() += 1e3;
    return result;
  };
  auto message = [&] {
    try {
      tune(problem, device, wrong, database, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(), HasSubstr("no candidate could be used: "));
  EXPECT_GT(asked, 0);
  asked = 0;
  EXPECT_THAT(message(), HasSubstr("output 'o' is off by "));
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(choose(problem, deviceInfo(device), database).origin, ChoiceOrigin::model);
}

TEST_F(Tuning, TheCopyCeilingIsOfThisGpu) {
  DeviceInfo gpu = deviceInfo(device);
  double found = copyBandwidth(gpu);
  // Twice the clock, as memory transfers on both edges.
  double bus = 2e-6 * gpu.memoryClockKHz * gpu.memoryBusBits / 8;
  EXPECT_GT(found, 10);
  if (bus > 0) {
    EXPECT_LT(found, 1.05 * bus);
  }
}

TEST_F(Tuning, ACallWithAColdCacheIsTimed) {
  Problem problem = problemOf(one);
  std::unique_ptr<PreparedKernel> kernel = prepare(one);
  DeviceCall call(*problem.plan, problem.signature, one.shape, referenceOf(one)->host);
  Stopwatch stopwatch(deviceInfo(device));
  const LaunchPlan bound = call.bind(kernel->binder());
  auto launch = [&](cuda::StreamHandle stream) { kernel->launch(bound, stream); };
  stopwatch.warmUp(launch);
  Timing once = summarise(stopwatch.sample(launch, 50));
  Timing four = summarise(stopwatch.sample(
      [&](cuda::StreamHandle stream) {
        launch(stream);
        launch(stream);
        launch(stream);
        launch(stream);
      },
      50));
  EXPECT_GT(once.microseconds, 1);
  EXPECT_GT(four.microseconds, 1.5 * once.microseconds);
}

}  // namespace
}  // namespace lathe::test
