// lathe check: parse, type, classify.
#include "tools/lathe/Classify.h"
#include "tools/lathe/Command.h"
#include "tools/lathe/SpecFile.h"

#include <iostream>
#include <memory>

namespace lathe::tool {

static int check(const std::vector<std::string>& files) {
  int failed = 0;
  for (const std::string& file : files) {
    SpecFile spec;
    try {
      spec = compileFile(file);
    } catch (const Error& error) {
      std::cerr << "lathe: " << error.what() << "\n";
      ++failed;
      continue;
    }
    spec.diagnostics.print(std::cerr, spec.path, spec.text);
    failed += spec.diagnostics.hasErrors();
    for (const CompiledVariant& variant : spec.variants)
      std::cout << variant.name << ": " << classify(variant.plan) << "\n";
  }
  return failed > 0 ? exitFailed : 0;
}

void addCheck(CLI::App& app, Action& action) {
  auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* command = addCommand(
      app, "check", "Parse, type and classify: errors, warnings, remarks",
      "  lathe check gla                    a variant of the library\n"
      "  lathe check mine.lathe yours.lathe\n"
      "One line a variant on stdout, what is to be said of the text on stderr. Exit code "
      "1 after an error.");
  command->add_option("FILE", *files, "a .lathe file, or the name of a library variant")
      ->required();
  command->callback([files, &action] { action = [files] { return check(*files); }; });
}

}  // namespace lathe::tool
