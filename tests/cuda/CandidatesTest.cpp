// Every variant, family and tile compiles for every architecture, without a GPU; the defaults do
// not spill.
#include "runtime/Nvrtc.h"
#include "tests/cuda/Library.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

namespace lathe::test {
namespace {

struct Job {
  std::string variant, arch;
  Family family;
  Tile tile;
  bool isDefault;
  KernelSource kernel;
};

constexpr const char* ownName = "decayed_values";

/// Every tile of some variants and of one of no library, the default one of the rest of the
/// library; of tiles that share a kernel the first.
std::vector<Job> jobsOf(const std::string& arch) {
  std::vector<Job> jobs;
  std::vector<std::string> names = libraryNames();
  names.push_back(ownName);
  for (const std::string& name : names) {
    const bool isOwn = name == ownName;
    const bool isAll = isOwn || std::count(kVariants.begin(), kVariants.end(), name) > 0;
    Plan plan = isOwn ? decayedValuesPlan() : libraryPlan(name);
    Signature signature =
        isAll ? signatureOf(plan, 128, name == "mamba2" ? 64 : 128) : librarySignature(plan, 64);
    for (Family family : {Family::scan, Family::step, Family::sequential}) {
      if (family == Family::scan && !plan.scan)
        continue;
      std::vector<Tile> tiles = candidates(plan, family, signature, knownDevice(arch), 128).tiles;
      if (!isAll)
        tiles.resize(1);
      std::set<std::string> texts;
      for (const Tile& tile : tiles) {
        KernelSource kernel = emit(plan, family, signature, tile);
        if (texts.insert(kernel.text).second)
          jobs.push_back({name, arch, family, tile, tile == tiles.front(), std::move(kernel)});
      }
    }
  }
  return jobs;
}

void expectNoSpillsInDefaults(const std::vector<Job>& jobs) {
  const Nvrtc& nvrtc = Nvrtc::get();
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const Job& job = jobs[i];
      std::string what =
          job.variant + " " + name(job.family) + " " + toString(job.tile) + " " + job.arch;
      try {
        Compilation result = nvrtc.compile(job.kernel.text, job.kernel.entry, job.arch);
        std::lock_guard lock(mutex);
        EXPECT_FALSE(result.cubin.empty()) << what;
        EXPECT_EQ(result.log.find("warning"), std::string::npos) << what << "\n" << result.log;
        if (job.isDefault) {
          EXPECT_EQ(result.resources.spillStoreBytes + result.resources.spillLoadBytes, 0) << what;
        }
      } catch (const std::exception& error) {
        std::lock_guard lock(mutex);
        ADD_FAILURE() << what << ": " << error.what();
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back(work);
  for (std::thread& thread : threads)
    thread.join();
}

class CandidatesTest : public testing::TestWithParam<const char*> {};

TEST_P(CandidatesTest, CompileAndDefaultsDoNotSpill) {
  expectNoSpillsInDefaults(jobsOf(GetParam()));
}

/// The default tile of a call with these dims, for sm_90a.
Job defaultOf(const std::string& name, int K, int V, bool pairedHeads) {
  Plan plan = libraryPlan(name);
  Signature signature = signatureOf(plan, K, V);
  signature.pairedHeads = pairedHeads;
  std::vector<Tile> tiles =
      candidates(plan, Family::scan, signature, knownDevice("sm_90a"), 256).tiles;
  // Of pairs the first that holds two heads.
  auto chosen = std::find_if(tiles.begin(), tiles.end(), [&](const Tile& tile) {
    return !pairedHeads || tile.blockV == 2 * V;
  });
  EXPECT_NE(chosen, tiles.end()) << name << " K " << K;
  return {name + " K " + std::to_string(K) + " V " + std::to_string(V),
          "sm_90a",
          Family::scan,
          *chosen,
          true,
          emit(plan, Family::scan, signature, *chosen)};
}

TEST(HopperDefaults, DoNotSpillAtAnyDims) {
  std::vector<Job> jobs;
  for (const char* name : {"retnet", "simple_gla", "mamba2", "mamba2_gated", "linear_attention",
                           "lightning", "mlstm_sig"}) {
    for (int K : {32, 64, 96, 128, 192, 256})
      jobs.push_back(defaultOf(name, K, 128, false));
    jobs.push_back(defaultOf(name, 128, 64, false));
  }
  for (const char* name : {"retnet", "mamba2", "mamba2_gated"})
    for (int K : {32, 64, 80, 96, 128})
      jobs.push_back(defaultOf(name, K, 64, true));
  for (const Job& job : jobs)
    EXPECT_EQ(job.tile.form, Form::sm90a) << job.variant;
  expectNoSpillsInDefaults(jobs);
}

INSTANTIATE_TEST_SUITE_P(Archs, CandidatesTest,
                         testing::Values("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
