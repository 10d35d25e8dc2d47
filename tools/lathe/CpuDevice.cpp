#include "tools/lathe/CpuDevice.h"

#include "compiler/cpu/Pool.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/Progress.h"
#include "tools/lathe/Report.h"
#include "tuner/CpuTuner.h"

#include <chrono>
#include <iostream>

namespace lathe::tool {

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

bool hasCpuTarget() { return true; }

CpuRun runOnCpuTarget(const CompiledVariant& variant, const Signature& signature,
                      const Shape& shape, const HostCall& host,
                      const std::map<std::string, float>& constants) {
  const CpuProblem problem{&variant, false, signature, shape};
  const CpuChoice choice = chooseCpu(problem, CpuRecords());
  const reference::Program& program = problem.program();
  const cpu::Target target = problem.target(choice.slice);
  const double begin = seconds();
  const cpu::Kernel kernel(program, target);
  const double compiled = seconds();
  CpuCall call(program, target, shape, host);
  call.call().constants.insert(constants.begin(), constants.end());
  call.call().threads = choice.threads;
  call.call().spacing = choice.spacing;
  const double bound = seconds();
  kernel.run(call.call());
  CpuRun run{call.download(), compiled - begin, seconds() - bound, ""};
  const int threads = choice.threads > 0 ? choice.threads : cpu::processors();
  run.how = std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  if (!kernel.sliceDim().empty())
    run.how += ", slices of " + std::to_string(kernel.slice()) + " along " + kernel.sliceDim();
  run.how += choice == CpuChoice() ? "" : ", as tuned";
  return run;
}

bool tuneCpuTarget(const CompiledVariant& variant, bool isGradient, const Signature& signature,
                   const Shape& shape, double budgetSeconds) {
  const CpuProblem problem{&variant, isGradient, signature, shape};
  CpuRecords records;
  Progress progress(std::cerr, isProgressTerminal());
  const CpuTuningResult result =
      tuneCpu(problem, records, budgetSeconds, [&](const std::string& step, int done, int total) {
        progress.show(step, done, total);
      });
  progress.finish();
  std::cout << variant.name << (isGradient ? " backward" : " forward") << " on this CPU\n";
  Table table({"choice", "outcome", "us", "+-"});
  for (const CpuTrial& trial : result.trials) {
    const bool isTimed = trial.microseconds > 0;
    table.add({toString(trial.choice), name(trial.outcome),
               isTimed ? fixedText(trial.microseconds, 1) : "",
               isTimed ? fixedText(trial.mad, 1) : ""});
  }
  table.print(std::cout);
  std::cout << toString(result.winner) << ": " << fixedText(result.microseconds, 1)
            << " us; tuning took " << timeText(result.seconds) << "\n";
  return true;
}

}  // namespace lathe::tool
