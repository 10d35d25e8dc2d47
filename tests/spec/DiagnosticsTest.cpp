#include "compiler/spec/Names.h"
#include "compiler/spec/Text.h"
#include "tests/spec/Parse.h"

namespace lathe::spec {
namespace {

TEST(Print, OrdersByPlaceAndMarksTheSpan) {
  const std::string text = "first line\nsecond line\n";
  Diagnostics diagnostics;
  diagnostics.remark({2, 8, 4}, "a remark");
  diagnostics.warning({1, 7, 4}, "a warning", "do this");
  diagnostics.error({1, 1, 5}, "an error");
  EXPECT_EQ(printed(text, diagnostics), "test.lathe:1:1: error: an error\n"
                                        "   1 | first line\n"
                                        "     | ^~~~~\n"
                                        "test.lathe:1:7: warning: a warning\n"
                                        "   1 | first line\n"
                                        "     |       ^~~~\n"
                                        "     help: do this\n"
                                        "test.lathe:2:8: remark: a remark\n"
                                        "   2 | second line\n"
                                        "     |        ^~~~\n");
}

TEST(Print, WidensTabsAndCountsCharacters) {
  Diagnostics diagnostics;
  diagnostics.error({1, 7, 1}, "here");
  EXPECT_EQ(printed("\ta\té\tb\n", diagnostics), "test.lathe:1:7: error: here\n"
                                                 "   1 |     a   é   b\n"
                                                 "     |             ^\n");
}

TEST(Print, HidesWhatATerminalCannotShow) {
  Diagnostics diagnostics;
  diagnostics.error({1, 3, 1}, "here");
  EXPECT_EQ(printed(std::string_view("a\0\x1B\xFF\xE2\x80\xAEz\r\n", 9), diagnostics),
            "test.lathe:1:3: error: here\n"
            "   1 | a????z\n"
            "     |   ^\n");
}

TEST(Print, CutsLongLinesAroundTheCaret) {
  Diagnostics diagnostics;
  diagnostics.error({1, 1001, 3}, "here");
  const std::string text = std::string(1000, 'a') + "bcd" + std::string(1000, 'e');
  EXPECT_EQ(printed(text, diagnostics), "test.lathe:1:1001: error: here\n"
                                        "   1 | ..." +
                                            std::string(60, 'a') + "bcd" + std::string(57, 'e') +
                                            "...\n     | " + std::string(63, ' ') + "^~~\n");
}

TEST(Print, KeepsCharactersWholeWhereItCuts) {
  Diagnostics diagnostics;
  diagnostics.error({1, 602, 1}, "here");
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += "é";
  const std::string shown = printed(text, diagnostics);
  EXPECT_EQ(shown.find('?'), std::string::npos) << shown;
}

TEST(Print, PlacesThatDoNotExist) {
  Diagnostics diagnostics;
  diagnostics.error({0, 1, 1}, "of the file");
  diagnostics.error({9, 1, 1}, "beyond the end");
  diagnostics.error({1, 99, 99}, "beyond the line");
  EXPECT_EQ(printed("ab", diagnostics), "test.lathe: error: of the file\n"
                                        "test.lathe:1:99: error: beyond the line\n"
                                        "   1 | ab\n"
                                        "     |   ^\n"
                                        "test.lathe:9:1: error: beyond the end\n");
}

TEST(Diagnostics, KeepFiftyOfASeverityAndCountTheRest) {
  Diagnostics diagnostics;
  for (int i = 0; i < 53; ++i)
    diagnostics.warning({1, 1, 1}, "w");
  for (int i = 0; i < 51; ++i)
    diagnostics.error({1, 1, 1}, "e");
  EXPECT_EQ(diagnostics.all().size(), 100u);
  EXPECT_EQ(diagnostics.count(Severity::error), 51);
  const std::string shown = printed("x", diagnostics);
  EXPECT_TRUE(shown.ends_with("test.lathe: 1 more error not shown\n"
                              "test.lathe: 3 more warnings not shown\n"))
      << shown;
}

TEST(Names, EditDistance) {
  EXPECT_EQ(editDistance("", ""), 0);
  EXPECT_EQ(editDistance("", "abc"), 3);
  EXPECT_EQ(editDistance("abc", ""), 3);
  EXPECT_EQ(editDistance("decay", "decay"), 0);
  EXPECT_EQ(editDistance("dekay", "decay"), 1);
  EXPECT_EQ(editDistance("deacy", "decay"), 1);
  EXPECT_EQ(editDistance("decy", "decay"), 1);
  EXPECT_EQ(editDistance("decayy", "decay"), 1);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3);
}

TEST(Names, ClosestIsNearEnoughOrNone) {
  EXPECT_EQ(closestName("sigmiod", {"exp", "sigmoid", "logsigmoid"}), "sigmoid");
  EXPECT_EQ(closestName("Q", {"k", "q"}), "q");
  EXPECT_EQ(closestName("x", {"k", "q"}), std::nullopt);
  EXPECT_EQ(closestName("kb", {"kn"}), std::nullopt);
  EXPECT_EQ(closestName("gate", {"rate", "gates"}), "rate");
  EXPECT_EQ(closestName("gate", {"position"}), std::nullopt);
}

TEST(Text, KnowsUtf8) {
  EXPECT_EQ(utf8Length("a"), 1);
  EXPECT_EQ(utf8Length("é"), 2);
  EXPECT_EQ(utf8Length("←"), 3);
  EXPECT_EQ(utf8Length("\xF0\x9F\x99\x82"), 4);
  for (const char* bad : {"", "\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3", "\xE2\x86"})
    EXPECT_EQ(utf8Length(bad), 0) << bad;
  EXPECT_EQ(utf8Decode("←"), char32_t{0x2190});
}

TEST(Text, QuotesWhatFitsIntoAMessage) {
  EXPECT_EQ(quote("gate"), "'gate'");
  EXPECT_EQ(quote(std::string(41, 'a')), "'" + std::string(40, 'a') + "...'");
  EXPECT_EQ(quote("a\x1B[31m"), "'a?[31m'");
}

}  // namespace
}  // namespace lathe::spec
