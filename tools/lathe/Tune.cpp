// lathe tune: the fastest tile for a shape on this GPU.
#include "tools/lathe/Command.h"
#include "tools/lathe/CpuDevice.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/Progress.h"
#include "tools/lathe/Report.h"
#include "tools/lathe/SpecFile.h"
#include "tuner/BackwardPass.h"
#include "tuner/Tuner.h"

#include <iostream>
#include <memory>

namespace lathe::tool {

namespace {

struct TuneCommand {
  std::string file, exported;
  KernelOptions kernel;
  double budget = 120;
  int limit = TuneOptions().limit;
  std::string on = "gpu", pass = "fwd";
  int device = 0;
  bool isFresh = false;
};

int tuneOnCpu(const TuneCommand& options, const CompiledVariant& variant, const Shape& shape) {
  KernelOptions kernel = options.kernel;
  if (kernel.dtype.empty())
    kernel.dtype = "f32";
  const Signature signature = parseSignature(kernel, variant.plan);
  if (!tuneCpuTarget(variant, options.pass == "bwd", signature, shape, options.budget))
    throw Error("this program has no CPU target: it is the one for GPU nodes");
  return 0;
}

/// One kernel, and the winner stored.
void tuneKernel(const TuneCommand& options, const std::string& what, const Problem& problem,
                const Oracle& oracle, const DeviceInfo& gpu) {
  Progress progress(std::cerr, isProgressTerminal());
  TuneOptions how;
  how.budgetSeconds = options.budget;
  how.limit = options.limit;
  how.useDatabase = !options.isFresh;
  how.progress = [&](const std::string& step, int done, int total) {
    progress.show(step, done, total);
  };
  Database database;
  const TuningResult result = tune(problem, options.device, oracle, database, how);
  progress.finish();
  if (options.isFresh)
    database.store(problem, gpu, result);
  std::cout << what << " " << name(problem.family) << " on " << gpu.name << "\n";
  printTrials(std::cout, result);
  std::cout << toString(result.winner) << ": " << fixedText(result.microseconds, 1)
            << " us; tuning took " << timeText(result.seconds) << "\n";
  if (!options.exported.empty()) {
    Database(options.exported).store(problem, gpu, result);
    std::cout << "also stored in " << options.exported
              << ", which LATHE_TUNING_PATH can name on another machine\n";
  }
}

int tuneVariant(const TuneCommand& options) {
  const CompiledVariant variant = loadVariant(options.file, options.kernel.variant);
  const Shape shape = parseShape(options.kernel.shape);
  if (options.on == "cpu")
    return tuneOnCpu(options, variant, shape);
  if (options.pass == "bwd")
    refuseFamily(options.kernel.family);
  const DeviceInfo gpu = deviceInfo(options.device);
  const Signature signature = parseSignature(options.kernel, variant.plan);
  if (options.pass != "bwd") {
    const Problem problem{&variant.plan,
                          parseFamily(options.kernel.family, variant.plan, shape.tokens), signature,
                          shape};
    tuneKernel(options, variant.name, problem, oracleOf(variant), gpu);
    return 0;
  }
  const BackwardPass pass(variant, signature, gpu.limits);
  for (std::size_t i = 0; i < pass.kernels().size(); ++i) {
    const BackwardPass::Kernel& kernel = pass.kernels()[i];
    const bool isPart = kernel.plan.variant != variant.backward.variant;
    tuneKernel(options, isPart ? kernel.plan.variant : variant.name + " backward",
               pass.problem(i, shape), kernel.oracle, gpu);
  }
  return 0;
}

}  // namespace

void addTune(CLI::App& app, Action& action) {
  auto options = std::make_shared<TuneCommand>();
  CLI::App* command =
      addCommand(app, "tune", "Find the fastest tile for a shape on this GPU, and remember it",
                 "  lathe tune gla --shape 8,4096,16\n"
                 "  lathe tune mamba2 --shape 8,4096,32 --dims K=128,V=64 --budget 60\n"
                 "  lathe tune gated_delta_net --shape 64,1,32 --export tuned/\n"
                 "Every candidate is checked against the interpreter before it is timed. The "
                 "winner serves all\n"
                 "later calls of about this shape; an interrupted run goes on where it stopped.");
  command->add_option("FILE", options->file, "a .lathe file, or the name of a library variant")
      ->required();
  options->kernel.addShape(*command, true);
  options->kernel.addSignature(*command);
  options->kernel.addFamily(*command);
  command->add_option("--budget", options->budget, "seconds that it may take")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  command->add_option("--limit", options->limit, "candidates that are compiled, best first")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_option("--device", options->on, "gpu, or cpu: its threads, slices and saved states")
      ->type_name("DEVICE")
      ->check(CLI::IsMember({"gpu", "cpu"}));
  command->add_option("--pass", options->pass, "fwd or bwd: the gradients of a call")
      ->type_name("PASS")
      ->check(CLI::IsMember({"fwd", "bwd"}));
  command->add_option("--gpu", options->device, "which one")->type_name("N");
  command->add_flag("--fresh", options->isFresh, "measure again what was measured before");
  command->add_option("--export", options->exported, "store the winner in this folder too")
      ->type_name("FOLDER");
  command->callback([options, &action] { action = [options] { return tuneVariant(*options); }; });
}

}  // namespace lathe::tool
