#include "compiler/spec/Lexer.h"

#include <gtest/gtest.h>

namespace lathe::spec {
namespace {

std::vector<Token> lexValid(std::string_view text) {
  Diagnostics diagnostics;
  std::vector<Token> tokens = lex(text, diagnostics);
  EXPECT_FALSE(diagnostics.hasErrors());
  return tokens;
}

std::vector<TokenKind> kinds(std::string_view text) {
  std::vector<TokenKind> kinds;
  for (const Token& token : lexValid(text))
    kinds.push_back(token.kind);
  return kinds;
}

TEST(Lexer, ReadsEverySymbol) {
  using enum TokenKind;
  EXPECT_EQ(kinds("()[]{},=<-+-*/@"),
            (std::vector{openParen, closeParen, openBracket, closeBracket, openBrace, closeBrace,
                         comma, equals, arrow, plus, minus, star, slash, at, end}));
}

TEST(Lexer, TellsKeywordsFromNames) {
  using enum TokenKind;
  EXPECT_EQ(
      kinds("variant input param const let state output in"),
      (std::vector{keyword, keyword, keyword, keyword, keyword, keyword, keyword, keyword, end}));
  EXPECT_EQ(kinds("inputs Let log position _x A_log k2"),
            (std::vector{name, name, name, name, name, name, name, end}));
}

TEST(Lexer, ArrowThenMinus) {
  using enum TokenKind;
  EXPECT_EQ(kinds("S<--k"), (std::vector{name, arrow, minus, name, end}));
}

TEST(Lexer, ReadsNumbers) {
  const auto tokens = lexValid("2 0.5 .25 3. 1e-6 1E+3 2.5e2 4.9e-324 1.7976931348623157e308");
  const double expected[] = {2, 0.5, 0.25, 3, 1e-6, 1000, 250, 4.9e-324, 1.7976931348623157e308};
  ASSERT_EQ(tokens.size(), std::size(expected) + 1);
  for (size_t i = 0; i < std::size(expected); ++i)
    EXPECT_EQ(tokens[i].number, expected[i]) << tokens[i].text;
}

TEST(Lexer, CountsLinesAndBytes) {
  const auto tokens = lexValid("a # é\r\n\tbb <- c");
  ASSERT_EQ(tokens.size(), 6u);
  EXPECT_EQ(tokens[0].span.line, 1);
  EXPECT_EQ(tokens[1].kind, TokenKind::newline);
  EXPECT_EQ(tokens[2].span.line, 2);
  EXPECT_EQ(tokens[2].span.column, 2);
  EXPECT_EQ(tokens[2].span.length, 2);
  EXPECT_TRUE(tokens[2].startsLine);
  EXPECT_EQ(tokens[3].span.column, 5);
  EXPECT_EQ(tokens[3].span.length, 2);
  EXPECT_FALSE(tokens[3].startsLine);
}

TEST(Lexer, SkipsByteOrderMark) {
  const auto tokens = lexValid("\xEF\xBB\xBFvariant");
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].text, "variant");
  EXPECT_TRUE(tokens[0].startsLine);
}

TEST(Lexer, EmptyTextHasOnlyAnEnd) { EXPECT_EQ(kinds(""), std::vector{TokenKind::end}); }

TEST(Lexer, ReportsBytesThatAreNoTextOnce) {
  for (const std::string_view text : {"a\xff\xfe b", "# \xff and \xfe\nb", "\xed\xa0\x80 b"}) {
    Diagnostics diagnostics;
    const auto tokens = lex(text, diagnostics);
    ASSERT_EQ(diagnostics.all().size(), 1u) << text;
    EXPECT_EQ(diagnostics.all()[0].message, "found bytes that are not UTF-8");
    EXPECT_EQ(tokens[tokens.size() - 2].text, "b");
  }
}

}  // namespace
}  // namespace lathe::spec
