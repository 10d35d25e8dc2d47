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
  std::vector<std::string> files;
  KernelOptions kernel;
  bool isJson = false, isLatex = false;
};

int explain(const ExplainOptions& options) {
  bool isFirst = true;
  int code = 0;
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& file : options.files) {
    std::vector<CompiledVariant> variants;
    try {
      variants = loadVariants(file, options.kernel.variant);
    } catch (const Reported&) {
      code = exitFailed;
    }
    for (const CompiledVariant& variant : variants) {
      const Explanation explanation = explainVariant(variant, options.kernel);
      if (options.isJson) {
        all.push_back(toJson(explanation));
        continue;
      }
      std::cout << (isFirst ? "" : "\n");
      isFirst = false;
      options.isLatex ? printLatex(std::cout, explanation) : print(std::cout, explanation);
    }
  }
  if (options.isJson && !all.empty())
    std::cout << (all.size() == 1 ? all[0] : all).dump(2) << "\n";
  return code;
}

}  // namespace

void addExplain(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = addCommand(
      app, "explain", "Show the formulas of every form, the plan, the least cost, and the tiles",
      "  lathe explain gla\n"
      "  lathe explain variants/*.lathe\n"
      "  lathe explain gla --latex                the formulas alone, for amsmath\n"
      "  lathe explain mamba2 --dims K=128,V=64 --shape 8,4096,32 --arch sm_80\n"
      "  lathe explain gated_delta_net --json");
  command
      ->add_option("FILE", options->files,
                   "a .lathe file, or the name of a library variant; several")
      ->required();
  options->kernel.addSignature(*command);
  options->kernel.addShape(*command, false);
  options->kernel.addFamily(*command);
  options->kernel.addArch(*command);
  CLI::Option* json = command->add_flag("--json", options->isJson, "the same for programs");
  command->add_flag("--latex", options->isLatex, "the formulas alone, in LaTeX with amsmath")
      ->excludes(json);
  command->callback([options, &action] { action = [options] { return explain(*options); }; });
}

}  // namespace lathe::tool
