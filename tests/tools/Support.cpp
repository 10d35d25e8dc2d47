#include "tests/tools/Support.h"

namespace lathe::tool {

std::string libraryFile(const std::string& name) {
  return LATHE_SOURCE_DIR "/variants/" + name + ".lathe";
}

CompiledVariant libraryVariant(const std::string& name) {
  return loadVariant(libraryFile(name), "");
}

CompiledVariant variantOf(const std::string& text) {
  Diagnostics diagnostics;
  std::vector<CompiledVariant> variants = compile(text, "test.lathe", diagnostics);
  EXPECT_EQ(variants.size(), 1U);
  return variants.at(0);
}

}  // namespace lathe::tool
