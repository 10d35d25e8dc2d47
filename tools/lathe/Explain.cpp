// lathe explain: what the compiler understood, derived and chose, and what it costs.
#include "tools/lathe/Classify.h"
#include "tools/lathe/Command.h"
#include "tools/lathe/Explanation.h"
#include "tools/lathe/SpecFile.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

namespace lathe::tool {

namespace {

struct ExplainOptions {
  std::string file;
  KernelOptions kernel;
  bool isJson = false;
};

int explain(const ExplainOptions& options) {
  const CompiledVariant variant = loadVariant(options.file, options.kernel.variant);
  const Explanation explanation = explainVariant(variant, options.kernel);
  if (options.isJson)
    std::cout << toJson(explanation).dump(2) << "\n";
  else
    print(std::cout, explanation);
  return 0;
}

}  // namespace

void addExplain(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command =
      addCommand(app, "explain", "Show the normal form, the plan, the least cost, and the tiles",
                 "  lathe explain gla\n"
                 "  lathe explain mamba2 --dims K=128,V=64 --shape 8,4096,32 --arch sm_80\n"
                 "  lathe explain gated_delta_net --json");
  command->add_option("FILE", options->file, "a .lathe file, or the name of a library variant")
      ->required();
  options->kernel.addSignature(*command);
  options->kernel.addShape(*command, false);
  options->kernel.addFamily(*command);
  options->kernel.addArch(*command);
  command->add_flag("--json", options->isJson, "the same for programs");
  command->callback([options, &action] { action = [options] { return explain(*options); }; });
}

}  // namespace lathe::tool
