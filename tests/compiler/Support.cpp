#include "tests/compiler/Support.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace lathe::test {

CompiledVariant compileLibrary(const std::string& name) {
  std::ifstream file(std::string(LATHE_SOURCE_DIR) + "/variants/" + name + ".lathe");
  std::ostringstream text;
  text << file.rdbuf();
  return compileOne(text.str());
}

const std::vector<std::string>& library() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> found;
    const std::filesystem::path folder = std::string(LATHE_SOURCE_DIR) + "/variants";
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".lathe")
        found.push_back(entry.path().stem().string());
    std::sort(found.begin(), found.end());
    return found;
  }();
  return names;
}

}  // namespace lathe::test
