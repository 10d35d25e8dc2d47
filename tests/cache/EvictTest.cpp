#include "cache/Evict.h"

#include "tests/cache/Support.h"

namespace lathe {
namespace {

using test::entryOf;
using test::keyOf;
using test::rootAt;
using test::setAge;
namespace fs = std::filesystem;

struct Evict : testing::Test {
  test::Folder folder;
  fs::path root = folder.path;
  StoreOptions options = rootAt(root);

  fs::path pathOf(const std::string& source) { return entryPath(root, keyOf(source).hex); }

  void publish(const std::string& source, double age) {
    ASSERT_TRUE(Store(options).publish(keyOf(source), entryOf(source, 10000)));
    setAge(pathOf(source), age);
  }
};

TEST_F(Evict, LeastRecentlyUsedGoesFirst) {
  publish("old", 5000);
  publish("older", 9000);
  publish("new", 100);
  std::uint64_t each = entryFiles(root).front().bytes;
  EXPECT_GE(each, 10000u);
  EXPECT_EQ(prune(root, 3 * each), 0u);
  EXPECT_EQ(prune(root, 2 * each), each);
  EXPECT_FALSE(fs::exists(pathOf("older")));
  EXPECT_EQ(prune(root, each), each);
  EXPECT_FALSE(fs::exists(pathOf("old")));
  EXPECT_TRUE(fs::exists(pathOf("new")));
  EXPECT_EQ(prune(root, 0), each);
  EXPECT_TRUE(entryFiles(root).empty());
}

TEST_F(Evict, AHitSavesAnEntry) {
  publish("hit", 9000);
  publish("idle", 8000);
  ASSERT_TRUE(Store(options).lookup(keyOf("hit")));
  prune(root, entryFiles(root).front().bytes);
  EXPECT_TRUE(fs::exists(pathOf("hit")));
  EXPECT_FALSE(fs::exists(pathOf("idle")));
}

TEST_F(Evict, EntriesDatedInTheFutureCanGo) {
  publish("future", -1e7);
  publish("old", 5000);
  prune(root, entryFiles(root).front().bytes);
  EXPECT_FALSE(fs::exists(pathOf("old")));
  prune(root, 0);
  EXPECT_FALSE(fs::exists(pathOf("future")));
}

TEST_F(Evict, SweepsAfterPublishAtMostOnceAnHour) {
  options.maxBytes = 25000;
  publish("a", 5000);  // the first publish sweeps, and leaves the mark
  publish("b", 4000);
  publish("c", 3000);
  EXPECT_EQ(entryFiles(root).size(), 3u);
  setAge(root / "v1" / "swept", 3700);
  publish("d", 0);
  EXPECT_FALSE(fs::exists(pathOf("a")));
  EXPECT_TRUE(fs::exists(pathOf("d")));
  EXPECT_LE(entryFiles(root).size(), 2u);
}

TEST_F(Evict, AMarkInTheFutureDoesNotStopSweeps) {
  options.maxBytes = 25000;
  publish("a", 5000);
  publish("b", 4000);
  publish("c", 3000);
  setAge(root / "v1" / "swept", -1e7);
  publish("d", 0);
  EXPECT_LE(entryFiles(root).size(), 2u);
}

TEST_F(Evict, NoBound) {
  options.maxBytes = 0;
  publish("a", 5000);
  setAge(root / "v1" / "swept", 3700);
  publish("b", 0);
  EXPECT_EQ(entryFiles(root).size(), 2u);
}

TEST_F(Evict, SweepsWhatKilledWritersLeft) {
  test::writeAll(scratchFolder(root) / "stale", "x");
  test::writeAll(scratchFolder(root) / "fresh", "x");
  test::writeAll(scratchFolder(root) / "future", "x");
  test::writeAll(root / "failed" / "old.cu", "x");
  test::writeAll(root / "failed" / "new.cu", "x");
  setAge(scratchFolder(root) / "stale", 3700);
  setAge(scratchFolder(root) / "future", -1e6);
  setAge(root / "failed" / "old.cu", 8 * 24 * 3600);
  sweep(options);
  EXPECT_FALSE(fs::exists(scratchFolder(root) / "stale"));
  EXPECT_FALSE(fs::exists(scratchFolder(root) / "future"));
  EXPECT_TRUE(fs::exists(scratchFolder(root) / "fresh"));
  EXPECT_FALSE(fs::exists(root / "failed" / "old.cu"));
  EXPECT_TRUE(fs::exists(root / "failed" / "new.cu"));
}

TEST_F(Evict, LeavesOtherFilesAlone) {
  publish("a", 5000);
  test::writeAll(root / "v1" / "ab" / "notes.txt", "x");
  test::writeAll(root / "v1" / "ab" / "short.lathe", "x");
  prune(root, 0);
  EXPECT_TRUE(fs::exists(root / "v1" / "ab" / "notes.txt"));
  EXPECT_TRUE(fs::exists(root / "v1" / "ab" / "short.lathe"));
}

}  // namespace
}  // namespace lathe
