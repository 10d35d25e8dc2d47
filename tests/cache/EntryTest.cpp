#include "tests/cache/Support.h"

namespace lathe {
namespace {

using test::entryOf;

TEST(Entry, RoundTrip) {
  Entry entry = entryOf("kernel");
  entry.metadata["registers"] = 168;
  std::string problem;
  std::optional<Entry> back = decode(encode(entry), problem);
  ASSERT_TRUE(back) << problem;
  EXPECT_EQ(*back, entry);
}

TEST(Entry, KeyTextMayBeAnyBytes) {
  Entry entry = entryOf("kernel");
  entry.keyText = std::string("\xff\xfe\0 not UTF-8", 14);
  std::string problem;
  ASSERT_TRUE(decode(encode(entry), problem)) << problem;
  EXPECT_EQ(decode(encode(entry), problem)->keyText, entry.keyText);
}

TEST(Entry, MetadataThatIsNotUtf8DoesNotThrow) {
  Entry entry = entryOf("kernel");
  entry.metadata["entry"] = "\xff";
  std::string problem;
  EXPECT_TRUE(decode(encode(entry), problem)) << problem;
}

TEST(Entry, EveryBitCounts) {
  std::string bytes = encode(entryOf("k", 16));
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= char(1 << (bit % 8));
    std::string problem;
    EXPECT_FALSE(decode(flipped, problem)) << "bit " << bit;
    EXPECT_NE(problem, "");
  }
}

TEST(Entry, EveryTruncationIsNoticed) {
  std::string bytes = encode(entryOf("k", 16));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::string problem;
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), problem)) << size;
  }
}

std::string problemOf(const std::string& bytes) {
  std::string problem;
  EXPECT_FALSE(decode(bytes, problem));
  return problem;
}

TEST(Entry, SaysWhatIsWrong) {
  std::string bytes = encode(entryOf("k", 16));
  EXPECT_EQ(problemOf(""), "it has 0 bytes, fewer than its header");
  EXPECT_EQ(problemOf("ELF" + bytes.substr(3)), "it does not begin as a cache entry does");
  std::string schema = bytes;
  schema[8] = 9;
  EXPECT_EQ(problemOf(schema), "its schema is 9, not 1");
  std::string huge = bytes;
  huge[22] = 1;
  EXPECT_EQ(problemOf(huge), "a length in its header is out of range");
  EXPECT_EQ(problemOf(bytes + "x"), "it has " + std::to_string(bytes.size() + 1) +
                                        " bytes, its header says " + std::to_string(bytes.size()));
  std::string flipped = bytes;
  flipped.back() ^= 1;
  EXPECT_EQ(problemOf(flipped), "its SHA-256 does not match its content");
  Entry list = entryOf("k");
  list.metadata = nlohmann::json::array();
  EXPECT_EQ(problemOf(encode(list)), "its metadata is not a JSON object");
}

}  // namespace
}  // namespace lathe
