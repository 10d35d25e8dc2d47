// Many processes at one root.
#include "cache/Bundle.h"
#include "cache/Files.h"
#include "tests/cache/Support.h"

#include <csignal>

namespace lathe {
namespace {

using test::entryOf;
using test::keyOf;
using test::rootAt;
namespace fs = std::filesystem;

/// Runs `body(i)` in `count` processes at once; how many did not return 0.
template <typename Body> int failures(int count, Body body) {
  std::vector<pid_t> children;
  for (int i = 0; i < count; ++i) {
    pid_t child = fork();
    if (child == 0)
      _exit([&]() noexcept -> int { return body(i); }());
    children.push_back(child);
  }
  int failed = 0;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    failed += status != 0;
  }
  return failed;
}

TEST(Processes, OneKey) {
  test::Folder folder;
  EXPECT_EQ(failures(8,
                     [&](int) {
                       Store store(rootAt(folder.path));
                       for (int i = 0; i < 20; ++i) {
                         std::optional<Entry> found = store.lookup(keyOf("k"));
                         if (found && !(*found == entryOf("k", 100000)))
                           return 1;
                         if (!store.publish(keyOf("k"), entryOf("k", 100000)) ||
                             !store.lookup(keyOf("k")))
                           return 2;
                       }
                       return 0;
                     }),
            0);
  EXPECT_EQ(entryFiles(folder.path).size(), 1u);
  EXPECT_TRUE(fs::is_empty(scratchFolder(folder.path)));
}

TEST(Processes, DistinctKeys) {
  test::Folder folder;
  EXPECT_EQ(failures(8,
                     [&](int process) {
                       Store store(rootAt(folder.path));
                       for (int i = 0; i < 10; ++i) {
                         std::string source = std::to_string(10 * process + i);
                         if (!store.publish(keyOf(source), entryOf(source)))
                           return 1;
                       }
                       return 0;
                     }),
            0);
  EXPECT_EQ(verify(folder.path, false).good, 80);
}

TEST(Processes, EvictionWhileReading) {
  test::Folder folder;
  EXPECT_EQ(failures(4,
                     [&](int process) {
                       Store store(rootAt(folder.path));
                       for (int i = 0; i < 30; ++i) {
                         if (process == 0) {
                           prune(folder.path, 0);
                           continue;
                         }
                         std::optional<Entry> found = store.lookup(keyOf("k"));
                         if (found && !(*found == entryOf("k")))
                           return 1;
                         if (!found && !store.publish(keyOf("k"), entryOf("k")))
                           return 2;
                       }
                       return 0;
                     }),
            0);
}

TEST(Processes, KilledWriterLeavesNoBrokenEntry) {
  test::Folder folder;
  for (int round = 0; round < 20; ++round) {
    pid_t child = fork();
    if (child == 0) {
      Store store(rootAt(folder.path));
      for (int i = 0;; ++i)
        store.publish(keyOf(std::to_string(i % 4)), entryOf(std::to_string(i % 4), 300000));
    }
    usleep(3000 + 1500 * round);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  Verified verified = verify(folder.path, false);
  EXPECT_TRUE(verified.damaged.empty());
  EXPECT_GT(verified.good, 0);
  Store store(rootAt(folder.path));
  EXPECT_TRUE(store.publish(keyOf("0"), entryOf("0", 300000)));
}

TEST(Processes, AFileThatWasReplacedIsNotDeleted) {
  test::Folder folder;
  fs::path path = folder.path / "entry";
  test::writeAll(path, "damaged");
  FileContent read;
  ASSERT_EQ(readFile(path, read), 0);
  ASSERT_EQ(publishFile(path, folder.path / "tmp", "another's"), 0);
  EXPECT_EQ(removeIfUnchanged(path, read.stamp), ESTALE);
  EXPECT_EQ(test::readAll(path), "another's");
}

}  // namespace
}  // namespace lathe
