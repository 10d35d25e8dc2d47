#include "cache/Bundle.h"

#include "tests/cache/Support.h"

namespace lathe {
namespace {

using test::entryOf;
using test::keyOf;
using test::rootAt;
namespace fs = std::filesystem;

struct Bundle : testing::Test {
  test::Folder folder;
  fs::path root = folder.path / "root", other = folder.path / "other";

  Bundle() {
    for (const char* source : {"a", "b", "c"})
      Store(rootAt(root)).publish(keyOf(source), entryOf(source));
  }

  template <typename Body> std::string errorOf(Body body) {
    try {
      body();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no error";
  }
};

TEST_F(Bundle, List) {
  std::vector<Listed> listed = list(root);
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_LT(listed[0].file.key, listed[1].file.key);
  EXPECT_TRUE(listed[0].metadata.contains("entry"));
  EXPECT_TRUE(list(folder.path / "absent").empty());
}

TEST_F(Bundle, Verify) {
  test::writeAll(entryPath(root, keyOf("a").hex), "damaged");
  fs::copy(entryPath(root, keyOf("b").hex), entryPath(root, keyOf("c").hex),
           fs::copy_options::overwrite_existing);
  Verified verified = verify(root, false);
  EXPECT_EQ(verified.good, 1);
  EXPECT_EQ(verified.damaged.size(), 2u);
  EXPECT_EQ(verified.removed, 0);
  EXPECT_EQ(verify(root, true).removed, 2);
  EXPECT_TRUE(verify(root, false).damaged.empty());
}

TEST_F(Bundle, OneFile) {
  fs::path bundle = folder.path / "kernels.bundle";
  EXPECT_EQ(exportBundle(root, {}, bundle), 3);
  Imported imported = importBundle(Store(rootAt(other)), bundle);
  EXPECT_EQ(imported.added, 3);
  EXPECT_EQ(*Store(rootAt(other)).lookup(keyOf("b")), entryOf("b"));
  EXPECT_EQ(importBundle(Store(rootAt(other)), bundle).present, 3);
}

TEST_F(Bundle, FolderIsALayer) {
  EXPECT_EQ(exportBundle(root, {keyOf("b").hex}, folder.path / "layer" / ""), 1);
  StoreOptions options = rootAt(other);
  options.layers = {folder.path / "layer"};
  EXPECT_TRUE(Store(options).lookup(keyOf("b")));
  EXPECT_FALSE(Store(options).lookup(keyOf("a")));
  EXPECT_EQ(importBundle(Store(rootAt(other)), folder.path / "layer").added, 1);
}

TEST_F(Bundle, DamageInABundleIsReported) {
  fs::path bundle = folder.path / "kernels.bundle";
  exportBundle(root, {}, bundle);
  std::string bytes = test::readAll(bundle);
  bytes[100] ^= 1;
  test::writeAll(bundle, bytes.substr(0, bytes.size() - 1));
  Imported imported = importBundle(Store(rootAt(other)), bundle);
  EXPECT_EQ(imported.added, 1);
  ASSERT_EQ(imported.problems.size(), 2u);
  EXPECT_EQ(imported.problems[0],
            bundle.string() + " at byte 0: its SHA-256 does not match its content");
}

TEST_F(Bundle, Errors) {
  std::string absent(64, '0');
  EXPECT_EQ(errorOf([&] { exportBundle(root, {absent}, folder.path / "x"); }),
            "the kernel cache at " + root.string() + " has no entry " + absent);
  test::writeAll(folder.path / "file", "");
  EXPECT_EQ(errorOf([&] { exportBundle(root, {}, folder.path / "file" / "x"); }),
            "cannot write " + (folder.path / "file" / "x").string() + ": Not a directory");
  EXPECT_EQ(errorOf([&] { importBundle(Store(rootAt(other)), folder.path / "absent"); }),
            "cannot read " + (folder.path / "absent").string() + ": No such file or directory");
  exportBundle(root, {}, folder.path / "bundle");
  EXPECT_EQ(errorOf([&] {
              importBundle(Store(rootAt(folder.path / "file" / "root")), folder.path / "bundle");
            }),
            "cannot write to the kernel cache at " + (folder.path / "file" / "root").string() +
                "; it must be writable, and LATHE_CACHE must be rw");
  fs::path damaged = entryPath(root, keyOf("a").hex);
  test::writeAll(damaged, "damaged");
  EXPECT_EQ(errorOf([&] { exportBundle(root, {}, folder.path / "x"); }),
            "damaged cache entry " + damaged.string() +
                ": it has 7 bytes, fewer than its header; delete it with 'lathe cache verify "
                "--repair'");
}

}  // namespace
}  // namespace lathe
