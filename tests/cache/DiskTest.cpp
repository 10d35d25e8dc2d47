// A disk that is full, read-only or not there: one line in the log, and the caller goes on.
#include "tests/cache/Support.h"

#include <csignal>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

namespace lathe {
namespace {

using test::entryOf;
using test::inChild;
using test::keyOf;
using test::rootAt;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int cannotMount = 77;

/// Runs `body` in a child that has a small file system of its own at `folder`.
template <typename Body> int onTmpfs(const fs::path& folder, unsigned long flags, Body body) {
  return inChild([&] {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) ||
        mount("lathe-test", folder.c_str(), "tmpfs", flags, "size=256k") != 0)
      return cannotMount;
    return body();
  });
}

TEST(Disk, RootBelowAFile) {
  test::Folder folder;
  test::writeAll(folder.path / "file", "");
  Store store(rootAt(folder.path / "file" / "root"));
  testing::internal::CaptureStderr();
  EXPECT_FALSE(store.lookup(keyOf("k")));
  EXPECT_FALSE(store.publish(keyOf("k"), entryOf("k")));
  EXPECT_FALSE(store.publish(keyOf("l"), entryOf("l")));
  EXPECT_FALSE(store.keepFailed("k.cu", "text"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "lathe: warning: cannot write to the kernel cache at " +
                (folder.path / "file" / "root").string() +
                ": Not a directory; going on without (LATHE_CACHE_DIR names another place)\n");
}

TEST(Disk, FolderWhereAnEntryShouldBe) {
  test::Folder folder;
  Key key = keyOf("k");
  fs::create_directories(entryPath(folder.path, key.hex));
  Store store(rootAt(folder.path));
  testing::internal::CaptureStderr();
  EXPECT_FALSE(store.lookup(key));
  EXPECT_FALSE(store.publish(key, entryOf("k")));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("Is a directory"));
  EXPECT_TRUE(fs::is_empty(scratchFolder(folder.path))) << "the new file is gone again";
}

TEST(Disk, LimitOnFileSizeDoesNotKill) {
  test::Folder folder;
  EXPECT_EQ(inChild([&] {
              signal(SIGXFSZ, SIG_DFL);
              rlimit limit = {4096, 4096};
              setrlimit(RLIMIT_FSIZE, &limit);
              Store store(rootAt(folder.path));
              if (store.publish(keyOf("k"), entryOf("k", 100000)))
                return 1;
              return store.publish(keyOf("small"), entryOf("small", 10)) ? 0 : 2;
            }),
            0);
  EXPECT_TRUE(fs::is_empty(scratchFolder(folder.path)));
  EXPECT_FALSE(Store(rootAt(folder.path)).lookup(keyOf("k")));
  EXPECT_TRUE(Store(rootAt(folder.path)).lookup(keyOf("small")));
}

TEST(Disk, FullDisk) {
  test::Folder folder;
  int status = onTmpfs(folder.path, 0, [&] {
    Store store(rootAt(folder.path));
    bool small = store.publish(keyOf("small"), entryOf("small"));
    bool large = store.publish(keyOf("large"), entryOf("large", 1 << 20));
    bool clean = fs::is_empty(scratchFolder(folder.path));
    return small && !large && clean && store.lookup(keyOf("small")) ? 0 : 1;
  });
  if (status == cannotMount)
    GTEST_SKIP() << "mounting needs root";
  EXPECT_EQ(status, 0);
}

TEST(Disk, ReadOnlyFileSystem) {
  test::Folder folder;
  int status = onTmpfs(folder.path, 0, [&] {
    Store store(rootAt(folder.path));
    if (!store.publish(keyOf("k"), entryOf("k")))
      return 1;
    test::setAge(entryPath(folder.path, keyOf("k").hex), 1e5);
    fs::path damaged = entryPath(folder.path, keyOf("d").hex);
    test::writeAll(damaged, "damaged");
    if (mount(nullptr, folder.path.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0)
      return cannotMount;
    bool found = store.lookup(keyOf("k")).has_value();
    bool miss = !store.lookup(keyOf("d")) && fs::exists(damaged);
    return found && miss && !store.publish(keyOf("l"), entryOf("l")) ? 0 : 2;
  });
  if (status == cannotMount)
    GTEST_SKIP() << "mounting needs root";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace lathe
