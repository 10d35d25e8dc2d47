#include "tests/cache/Support.h"

#include <gmock/gmock.h>

namespace lathe {
namespace {

using test::entryOf;
using test::keyOf;
using test::rootAt;
using testing::HasSubstr;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;
namespace fs = std::filesystem;

struct StoreFile : testing::Test {
  test::Folder folder;
  Store store{rootAt(folder.path / "root")};
  Key key = keyOf("kernel");
  Entry entry = entryOf("kernel");
  fs::path path = entryPath(folder.path / "root", key.hex);

  /// Puts `bytes` where the entry lies; what lookup then says on stderr.
  std::string missWith(const std::string& bytes) {
    test::writeAll(path, bytes);
    CaptureStderr();
    EXPECT_FALSE(store.lookup(key));
    return GetCapturedStderr();
  }
};

TEST_F(StoreFile, TouchesNothingUntilAsked) {
  EXPECT_FALSE(store.lookup(key));
  EXPECT_FALSE(fs::exists(folder.path / "root"));
}

TEST_F(StoreFile, PublishThenLookup) {
  EXPECT_TRUE(store.publish(key, entry));
  EXPECT_EQ(path.parent_path().parent_path().filename(), "v1");
  EXPECT_EQ(path.parent_path().filename().string() + path.stem().string(), key.hex);
  std::optional<Entry> found = store.lookup(key);
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, entry);
  EXPECT_FALSE(store.lookup(keyOf("another")));
  EXPECT_TRUE(fs::is_empty(scratchFolder(folder.path / "root")));
}

TEST_F(StoreFile, PublishTwiceIsFine) {
  EXPECT_TRUE(store.publish(key, entry));
  EXPECT_TRUE(store.publish(key, entry));
  EXPECT_EQ(*store.lookup(key), entry);
}

TEST_F(StoreFile, DamagedEntryIsAMissAndGoes) {
  std::string bytes = encode(entry);
  EXPECT_THAT(missWith(bytes.substr(0, bytes.size() / 2)),
              HasSubstr("damaged cache entry " + path.string() + ": it has "));
  EXPECT_FALSE(fs::exists(path));
  bytes[bytes.size() / 2] ^= 4;
  EXPECT_EQ(missWith(bytes), "");  // reported once for each path
  EXPECT_FALSE(fs::exists(path));
  missWith("");
  EXPECT_FALSE(fs::exists(path));
  missWith("ELF" + bytes.substr(3));
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(store.publish(key, entry));
  EXPECT_TRUE(store.lookup(key));
}

TEST_F(StoreFile, EntryUnderAnothersNameIsDamaged) {
  EXPECT_THAT(missWith(encode(entryOf("another"))),
              HasSubstr("it holds another kernel than its name says; deleted, compiling again"));
}

TEST_F(StoreFile, ReadOnlyModeLeavesEverythingAsItIs) {
  ASSERT_TRUE(store.publish(key, entry));
  test::setAge(path, 10 * 3600);
  StoreOptions options = rootAt(folder.path / "root");
  options.mode = CacheMode::readOnly;
  Store readOnly(options);
  auto before = fs::last_write_time(path);
  EXPECT_TRUE(readOnly.lookup(key));
  EXPECT_EQ(fs::last_write_time(path), before);
  EXPECT_FALSE(readOnly.publish(keyOf("another"), entryOf("another")));
  EXPECT_FALSE(readOnly.remove(key));
  EXPECT_FALSE(readOnly.keepFailed("a.cu", "text"));
  test::writeAll(path, "damaged");
  CaptureStderr();
  EXPECT_FALSE(readOnly.lookup(key));
  EXPECT_THAT(GetCapturedStderr(), HasSubstr("fewer than its header; ignored, compiling again"));
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(StoreFile, OffModeSeesNothing) {
  ASSERT_TRUE(store.publish(key, entry));
  StoreOptions options = rootAt(folder.path / "root");
  options.mode = CacheMode::off;
  options.layers = {folder.path / "root"};
  Store off(options);
  EXPECT_FALSE(off.lookup(key));
  EXPECT_FALSE(off.publish(key, entry));
}

TEST_F(StoreFile, Layers) {
  ASSERT_TRUE(store.publish(key, entry));
  StoreOptions options = rootAt(folder.path / "empty");
  options.layers = {folder.path / "absent", folder.path / "root"};
  Store layered(options);
  ASSERT_TRUE(layered.lookup(key));
  EXPECT_FALSE(fs::exists(folder.path / "empty"));
  ASSERT_TRUE(layered.publish(keyOf("new"), entryOf("new")));
  EXPECT_TRUE(fs::exists(entryPath(folder.path / "empty", keyOf("new").hex)));
  EXPECT_FALSE(fs::exists(entryPath(folder.path / "root", keyOf("new").hex)));
  EXPECT_FALSE(layered.remove(key)) << "a layer is never written";
  test::writeAll(path, "damaged");
  EXPECT_FALSE(layered.lookup(key));
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(StoreFile, RemoveForgets) {
  EXPECT_FALSE(store.remove(key));
  ASSERT_TRUE(store.publish(key, entry));
  EXPECT_TRUE(store.remove(key));
  EXPECT_FALSE(store.lookup(key));
}

TEST_F(StoreFile, KeepsFailedSources) {
  std::optional<fs::path> kept = store.keepFailed("abc.cu", "text");
  ASSERT_TRUE(kept);
  EXPECT_EQ(*kept, folder.path / "root" / "failed" / "abc.cu");
  EXPECT_EQ(test::readAll(*kept), "text");
}

TEST_F(StoreFile, AHitRenewsItsTimeAtMostOnceAnHour) {
  ASSERT_TRUE(store.publish(key, entry));
  test::setAge(path, 1800);
  auto recent = fs::last_write_time(path);
  ASSERT_TRUE(store.lookup(key));
  EXPECT_EQ(fs::last_write_time(path), recent);
  test::setAge(path, 2 * 3600);
  auto old = fs::last_write_time(path);
  ASSERT_TRUE(store.lookup(key));
  EXPECT_GT(fs::last_write_time(path), old + std::chrono::hours(1));
}

TEST_F(StoreFile, AHitRepairsATimeInTheFuture) {
  ASSERT_TRUE(store.publish(key, entry));
  test::setAge(path, -1e6);
  ASSERT_TRUE(store.lookup(key));
  EXPECT_LT(fs::last_write_time(path), fs::file_time_type::clock::now() + std::chrono::hours(1));
}

TEST_F(StoreFile, PrivateRootThatOthersMayWriteIsNotUsed) {
  ASSERT_TRUE(store.publish(key, entry));
  chmod((folder.path / "root").c_str(), 0777);
  StoreOptions options = rootAt(folder.path / "root");
  options.privateRoot = true;
  CaptureStderr();
  Store shared(options);
  EXPECT_EQ(GetCapturedStderr(), "lathe: warning: not using " + (folder.path / "root").string() +
                                     " as the kernel cache: other users may write to it; set "
                                     "LATHE_CACHE_DIR to a folder of your own\n");
  EXPECT_FALSE(shared.lookup(key));
  EXPECT_FALSE(shared.publish(key, entry));
}

}  // namespace
}  // namespace lathe
