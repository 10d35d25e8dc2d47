#include "tools/lathe/Npz.h"

#include "tests/tools/Support.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace lathe::tool {
namespace {

struct Npz : testing::Test {
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string folder = testing::TempDir() + "/npz-" + std::to_string(getpid());
  std::string path = folder + "/x.npz";
  Arrays arrays = {{"q", {{2, 2}, {1, 2, 3, 4}, "<f4"}}, {"empty", {{0}, {}, "<f4"}}};
};

TEST_F(Npz, WhatIsWrittenIsRead) {
  writeNpz(path, arrays);
  const Arrays again = readNpz(path);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again.at("q").data, arrays.at("q").data);
  EXPECT_EQ(again.at("q").shape, arrays.at("q").shape);
  EXPECT_TRUE(again.at("empty").data.empty());
}

TEST_F(Npz, EqualArraysGiveEqualFiles) {
  writeNpz(path, arrays);
  const std::string first = readText(path);
  writeNpz(path, arrays);
  EXPECT_EQ(readText(path), first);
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
}

TEST_F(Npz, ADamagedMemberIsFound) {
  writeNpz(path, arrays);
  std::string bytes = readText(path);
  bytes[bytes.rfind("NUMPY") + 130] ^= 1;  // an element of q, after 128 bytes of header
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_THAT(errorOf([&] { readNpz(path); }), testing::HasSubstr("is damaged: its checksum"));
}

TEST_F(Npz, FilesThatCannotBeRead) {
  EXPECT_EQ(errorOf([&] { readNpz(path); }),
            "cannot find '" + path + "', an .npz file as numpy.savez writes it");
  std::ofstream(path) << "no archive";
  EXPECT_EQ(errorOf([&] { readNpz(path); }),
            "'" + path + "' is no .npz file; write it with numpy.savez(path, name=array, ...)");
}

TEST_F(Npz, AFullDiskLeavesNothing) {
  if (access("/dev/full", W_OK) != 0)
    GTEST_SKIP() << "no /dev/full";
  std::filesystem::create_symlink("/dev/full", path + ".part");
  Arrays large = {{"q", {{1 << 20}, std::vector<double>(1 << 20), "<f4"}}};
  EXPECT_THAT(errorOf([&] { writeNpz(path, large); }),
              testing::StartsWith("cannot write '" + path + "'"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Npz, AFolderThatIsNotThere) {
  const std::string nowhere = folder + "/no/y.npz";
  EXPECT_EQ(errorOf([&] { writeNpz(nowhere, arrays); }),
            "cannot write '" + nowhere + "': its folder must be there and writable");
}

}  // namespace
}  // namespace lathe::tool
