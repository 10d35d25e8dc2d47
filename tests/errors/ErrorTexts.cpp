// Every mistake in this folder is reported with exactly the text that stands beside it: NAME.lathe
// holds the mistake, NAME.expected what Diagnostics::print says of it.
#include "compiler/spec/Parser.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace {

namespace fs = std::filesystem;

const fs::path folder = fs::path(LATHE_SOURCE_DIR) / "tests" / "errors";

std::vector<std::string> namesWith(const std::string& extension) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == extension)
      names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read " << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class ErrorText : public testing::TestWithParam<std::string> {};

TEST_P(ErrorText, IsAsWritten) {
  const std::string fileName = GetParam() + ".lathe";
  const std::string text = read(folder / fileName);
  lathe::Diagnostics diagnostics;
  lathe::spec::parse(text, diagnostics);
  std::ostringstream printed;
  diagnostics.print(printed, fileName, text);
  EXPECT_FALSE(diagnostics.all().empty());
  EXPECT_EQ(printed.str(), read(folder / (GetParam() + ".expected")));
}

INSTANTIATE_TEST_SUITE_P(All, ErrorText, testing::ValuesIn(namesWith(".lathe")),
                         [](const auto& info) { return info.param; });

TEST(ErrorTexts, AreCompletePairs) {
  EXPECT_EQ(namesWith(".lathe"), namesWith(".expected"));
  EXPECT_GE(namesWith(".lathe").size(), 70u);
}

}  // namespace
