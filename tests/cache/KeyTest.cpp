#include "cache/Key.h"

#include "cache/Sha256.h"

#include <gtest/gtest.h>
#include <stdexcept>

namespace lathe {
namespace {

TEST(Sha256, KnownAnswers) {
  // FIPS 180-4 examples.
  EXPECT_EQ(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256({"a", "", "bc"}), sha256({"abc"}));
}

TEST(Key, TextIsReadableAndComplete) {
  Key key = makeKey("int x;\n", {"-std=c++17", "--gpu-architecture=sm_90a"}, "NVRTC 13.0");
  EXPECT_EQ(key.text, "lathe kernel key, schema 1\n"
                      "compiler NVRTC 13.0\n"
                      "option --gpu-architecture=sm_90a\n"
                      "option --std=c++17\n"
                      "source 7 bytes\n"
                      "int x;\n");
  EXPECT_EQ(key.hex, sha256Hex(key.text));
  EXPECT_TRUE(isKeyHex(key.hex));
  EXPECT_FALSE(isKeyHex("abc"));
}

TEST(Key, DependsOnEveryPart) {
  Key key = makeKey("s", {"-a"}, "c");
  EXPECT_NE(makeKey("t", {"-a"}, "c").hex, key.hex);
  EXPECT_NE(makeKey("s", {"-b"}, "c").hex, key.hex);
  EXPECT_NE(makeKey("s", {"-a"}, "d").hex, key.hex);
}

TEST(Key, OrderAndSpellingOfOptionsDoNotCount) {
  Key key = makeKey("s", {"--std=c++17", "--gpu-architecture=sm_80", "-lineinfo"}, "c");
  EXPECT_EQ(makeKey("s", {"-lineinfo", " -arch=sm_80 ", "", "-std=c++17"}, "c").hex, key.hex);
  EXPECT_EQ(makeKey("s", {"-lineinfo", "-lineinfo", "-arch=sm_80", "-std=c++17"}, "c").hex,
            key.hex);
}

TEST(Key, TheLastOfOneOptionWins) {
  Key key = makeKey("s", {"-maxrregcount=64", "-maxrregcount=32"}, "c");
  EXPECT_NE(makeKey("s", {"-maxrregcount=32", "-maxrregcount=64"}, "c").hex, key.hex);
}

TEST(Key, RefusesOptionsThatReadFiles) {
  for (const char* option : {"-I/usr/include", "--include-path=x", "--pch", "-include=x"}) {
    try {
      makeKey("s", {option}, "c");
      FAIL() << option;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()),
                "option '" + std::string(option) +
                    "' cannot be part of a cache key: it reads or writes files whose content the "
                    "key does not see; give one source without includes");
    }
  }
}

}  // namespace
}  // namespace lathe
