// The variants of the library, and the examples of docs/language.md.
#include "compiler/spec/Functions.h"
#include "tests/spec/Parse.h"

#include <filesystem>
#include <fstream>

namespace lathe::spec {
namespace {

namespace fs = std::filesystem;

const fs::path root = LATHE_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read " << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Variant load(const std::string& name) {
  Spec spec = parseValid(read(root / "variants" / (name + ".lathe")));
  EXPECT_EQ(spec.variants.size(), 1u);
  return spec.variants.empty() ? Variant{} : std::move(spec.variants[0]);
}

TEST(Library, EveryFileHoldsTheVariantOfItsName) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(root / "variants")) {
    ASSERT_EQ(entry.path().extension(), ".lathe");
    const std::string text = read(entry.path());
    EXPECT_EQ(messages(text), "");
    EXPECT_EQ(load(entry.path().stem().string()).name, entry.path().stem());
    const std::string firstLine = text.substr(0, text.find('\n'));
    EXPECT_TRUE(firstLine.starts_with("# ") && firstLine.find(" 20") != std::string::npos)
        << "the first line names the paper and its year: " << firstLine;
    ++files;
  }
  EXPECT_GE(files, 5);
}

TEST(Library, LinearAttention) {
  const Variant variant = load("linear_attention");
  EXPECT_EQ(find(variant, "fq").dims, Dims{"K"});
  EXPECT_EQ(find(variant, "z").dims, Dims{"K"});
  const Statement& output = find(variant, "o");
  EXPECT_EQ(bracketed(*output.value), "((fq @ S) / (fq @ z))");
  EXPECT_EQ(output.value->args[0]->dims, Dims{"V"});
  EXPECT_EQ(output.value->args[1]->dims, Dims{});
}

TEST(Library, RetNet) {
  const Variant variant = load("retnet");
  EXPECT_EQ(find(variant, "gamma").kind, Statement::Kind::param);
  EXPECT_TRUE(find(variant, "gamma").log);
  EXPECT_EQ(find(variant, "gamma").dims, Dims{});
  EXPECT_EQ(find(variant, "scale").value->dims, Dims{});
}

TEST(Library, Mamba2) {
  const Variant variant = load("mamba2");
  for (const char* scalar : {"step", "decay", "A_log", "dt_bias", "D", "dt"})
    EXPECT_EQ(find(variant, scalar).dims, Dims{}) << scalar;
  EXPECT_EQ(bracketed(*find(variant, "decay").value), "exp(((-exp(A_log)) * step))");
  EXPECT_EQ(bracketed(*find(variant, "y").value), "((C @ S) + (D * x))");
  EXPECT_EQ(find(variant, "y").value->dims, Dims{"V"});
}

TEST(Library, Gla) {
  const Variant variant = load("gla");
  EXPECT_TRUE(find(variant, "g").log);
  EXPECT_FALSE(find(variant, "v").log);
  for (const Statement& statement : variant.statements)
    if (statement.kind == Statement::Kind::update) {
      EXPECT_EQ(bracketed(*statement.value), "((exp(g) * S) + (k * v))");
      EXPECT_EQ(statement.value->dims, (Dims{"K", "V"}));
    }
}

TEST(Library, GatedDeltaNet) {
  const Variant variant = load("gated_delta_net");
  EXPECT_EQ(find(variant, "kn").dims, Dims{"K"});
  EXPECT_EQ(find(variant, "beta").dims, Dims{});
  EXPECT_EQ(find(variant, "decay").dims, Dims{});
  std::vector<std::string> updates;
  for (const Statement& statement : variant.statements)
    if (statement.kind == Statement::Kind::update)
      updates.push_back(bracketed(*statement.value));
  EXPECT_EQ(updates,
            (std::vector<std::string>{"(decay * S)", "(S + ((beta * kn) * (v - (kn @ S))))"}));
}

/// The blocks of a Markdown page that are fenced as `language`.
std::vector<std::string> examples(const std::string& page, const std::string& language = "lathe") {
  const std::string opening = "```" + language + "\n", closing = "```\n";
  std::vector<std::string> blocks;
  for (size_t at = page.find(opening); at != std::string::npos; at = page.find(opening, at)) {
    at += opening.size();
    const size_t end = page.find(closing, at);
    EXPECT_NE(end, std::string::npos) << "a block is not closed";
    if (end == std::string::npos)
      break;
    blocks.push_back(page.substr(at, end - at));
    at = end + closing.size();
  }
  return blocks;
}

TEST(LanguageReference, EveryExampleIsValid) {
  const auto blocks = examples(read(root / "docs" / "language.md"));
  EXPECT_GE(blocks.size(), 5u);
  for (const std::string& block : blocks)
    EXPECT_EQ(messages(block), "") << block;
}

TEST(LanguageReference, ShowsWhatTheCompilerSays) {
  const std::string page = read(root / "docs" / "language.md");
  const auto mistakes = examples(page, "mistakes"), said = examples(page, "text");
  ASSERT_EQ(mistakes.size(), 1u);
  ASSERT_EQ(said.size(), 1u);
  Diagnostics diagnostics;
  parse(mistakes[0], diagnostics);
  std::ostringstream printed;
  diagnostics.print(printed, "broken.lathe", mistakes[0]);
  EXPECT_EQ(printed.str(), said[0]);
}

TEST(LanguageReference, ListsEveryFunction) {
  const std::string page = read(root / "docs" / "language.md");
  for (const Function& function : functions())
    EXPECT_NE(page.find("`" + std::string(function.usage) + "`"), std::string::npos)
        << function.usage;
}

TEST(LanguageReference, HasEveryVariantOfItsExamplesAsInTheLibrary) {
  for (const std::string& block : examples(read(root / "docs" / "language.md"))) {
    const Spec spec = parseValid(block);
    for (const Variant& variant : spec.variants) {
      const fs::path path = root / "variants" / (variant.name + ".lathe");
      if (!fs::exists(path))
        continue;
      const Variant known = load(variant.name);
      ASSERT_EQ(variant.statements.size(), known.statements.size()) << variant.name;
      for (size_t i = 0; i < known.statements.size(); ++i) {
        const Statement &shown = variant.statements[i], &stored = known.statements[i];
        EXPECT_EQ(shown.name, stored.name);
        EXPECT_EQ(shown.dims, stored.dims);
        EXPECT_EQ(shown.value ? bracketed(*shown.value) : "",
                  stored.value ? bracketed(*stored.value) : "");
      }
    }
  }
}

}  // namespace
}  // namespace lathe::spec
