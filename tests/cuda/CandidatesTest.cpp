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

class CandidatesTest : public testing::TestWithParam<const char*> {};

TEST_P(CandidatesTest, CompileAndDefaultsDoNotSpill) {
  std::vector<Job> jobs = jobsOf(GetParam());
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

INSTANTIATE_TEST_SUITE_P(Archs, CandidatesTest,
                         testing::Values("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
