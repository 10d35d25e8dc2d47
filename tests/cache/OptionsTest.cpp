#include "cache/Log.h"
#include "tests/cache/Support.h"

namespace lathe {
namespace {

using test::Folder;
using test::Variable;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

/// An environment that says nothing of the cache.
struct Options : testing::Test {
  Variable directory{"LATHE_CACHE_DIR", nullptr}, xdg{"XDG_CACHE_HOME", nullptr};
  Variable home{"HOME", nullptr}, mode{"LATHE_CACHE", nullptr};
  Variable layers{"LATHE_CACHE_PATH", nullptr}, bytes{"LATHE_CACHE_MAX_BYTES", nullptr};
  Variable level{"LATHE_LOG", nullptr};
};

TEST_F(Options, OrderOfRoots) {
  StoreOptions last = StoreOptions::fromEnvironment();
  EXPECT_EQ(last.root, "/tmp/lathe-" + std::to_string(geteuid()));
  EXPECT_TRUE(last.privateRoot);
  Variable withHome("HOME", "/home/x");
  EXPECT_EQ(StoreOptions::fromEnvironment().root, "/home/x/.cache/lathe");
  EXPECT_FALSE(StoreOptions::fromEnvironment().privateRoot);
  Variable withXdg("XDG_CACHE_HOME", "/xdg");
  EXPECT_EQ(StoreOptions::fromEnvironment().root, "/xdg/lathe");
  Variable withDirectory("LATHE_CACHE_DIR", "/mine");
  EXPECT_EQ(StoreOptions::fromEnvironment().root, "/mine");
}

TEST_F(Options, RelativeHomesAreIgnored) {
  Variable withXdg("XDG_CACHE_HOME", "relative");
  Variable withHome("HOME", "/home/x");
  EXPECT_EQ(StoreOptions::fromEnvironment().root, "/home/x/.cache/lathe");
}

TEST_F(Options, Modes) {
  EXPECT_EQ(StoreOptions::fromEnvironment().mode, CacheMode::readWrite);
  Variable off("LATHE_CACHE", "off");
  EXPECT_EQ(StoreOptions::fromEnvironment().mode, CacheMode::off);
  Variable readOnly("LATHE_CACHE", "ro");
  EXPECT_EQ(StoreOptions::fromEnvironment().mode, CacheMode::readOnly);
}

TEST_F(Options, UnknownModeIsReported) {
  Variable wrong("LATHE_CACHE", "yes");
  CaptureStderr();
  EXPECT_EQ(StoreOptions::fromEnvironment().mode, CacheMode::readWrite);
  StoreOptions::fromEnvironment();
  EXPECT_EQ(GetCapturedStderr(),
            "lathe: warning: LATHE_CACHE is 'yes', which is none of off, ro, rw; using rw\n");
}

TEST_F(Options, Layers) {
  Variable path("LATHE_CACHE_PATH", "/a::/b/c:");
  EXPECT_EQ(StoreOptions::fromEnvironment().layers, (std::vector<test::fs::path>{"/a", "/b/c"}));
}

TEST_F(Options, Bounds) {
  EXPECT_EQ(StoreOptions::fromEnvironment().maxBytes, 2147483648u);
  Variable size("LATHE_CACHE_MAX_BYTES", "3M");
  EXPECT_EQ(StoreOptions::fromEnvironment().maxBytes, 3145728u);
}

TEST_F(Options, UnreadableBoundIsReported) {
  Variable size("LATHE_CACHE_MAX_BYTES", "lots");
  CaptureStderr();
  EXPECT_EQ(StoreOptions::fromEnvironment().maxBytes, 2147483648u);
  EXPECT_EQ(GetCapturedStderr(),
            "lathe: warning: LATHE_CACHE_MAX_BYTES: 'lots' is not a number of bytes, such as "
            "1000000, 512M or 2G; using 2G\n");
}

TEST_F(Options, ParseBytes) {
  EXPECT_EQ(parseBytes("0"), 0u);
  EXPECT_EQ(parseBytes("1K"), 1024u);
  EXPECT_EQ(parseBytes("2G"), 2147483648u);
  for (const char* text : {"", "-1", "K", "1KB", "1.5G", "99999999999999999999", "9999999999999G"})
    EXPECT_THROW(parseBytes(text), std::invalid_argument) << text;
}

TEST_F(Options, PrivateFolder) {
  Folder folder;
  std::string problem;
  test::fs::path path = folder.path / "mine";
  EXPECT_TRUE(privateFolder(path, false, problem));
  EXPECT_FALSE(test::fs::exists(path));
  EXPECT_TRUE(privateFolder(path, true, problem));
  EXPECT_EQ(test::fs::status(path).permissions(), test::fs::perms::owner_all);
  chmod(path.c_str(), 0777);
  EXPECT_FALSE(privateFolder(path, false, problem));
  EXPECT_EQ(problem, "other users may write to it");
  test::writeAll(folder.path / "file", "");
  EXPECT_FALSE(privateFolder(folder.path / "file", true, problem));
  EXPECT_EQ(problem, "it is not a folder");
  test::fs::create_symlink(path, folder.path / "link");
  EXPECT_FALSE(privateFolder(folder.path / "link", true, problem));
  EXPECT_EQ(problem, "it is not a folder");
}

TEST_F(Options, PrivateFolderOfAnotherUser) {
  if (geteuid() != 0)
    GTEST_SKIP() << "giving a folder away needs root";
  Folder folder;
  std::string problem;
  ASSERT_EQ(chown(folder.path.c_str(), 12345, 12345), 0);
  EXPECT_FALSE(privateFolder(folder.path, false, problem));
  EXPECT_EQ(problem, "it belongs to user 12345");
}

TEST_F(Options, Log) {
  Variable info("LATHE_LOG", "info");
  CaptureStderr();
  log(LogLevel::info, "heard");
  logOnce(LogLevel::warn, "a key of this test", "once");
  logOnce(LogLevel::warn, "a key of this test", "twice");
  Variable quiet("LATHE_LOG", "quiet");
  log(LogLevel::warn, "not heard");
  EXPECT_EQ(GetCapturedStderr(), "lathe: info: heard\nlathe: warning: once\n");
}

}  // namespace
}  // namespace lathe
