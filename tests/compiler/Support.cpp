#include "tests/compiler/Support.h"

#include <fstream>

namespace lathe::test {

CompiledVariant compileLibrary(const std::string& name) {
  std::ifstream file(std::string(LATHE_SOURCE_DIR) + "/variants/" + name + ".lathe");
  std::ostringstream text;
  text << file.rdbuf();
  return compileOne(text.str());
}

}  // namespace lathe::test
