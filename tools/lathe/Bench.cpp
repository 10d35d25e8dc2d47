// lathe bench: times on this GPU, held against the bandwidth of a copy.
#include "tools/lathe/Command.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/Plot.h"
#include "tools/lathe/Progress.h"
#include "tools/lathe/Report.h"
#include "tools/lathe/SpecFile.h"
#include "tools/lathe/Suite.h"

#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

namespace lathe::tool {

namespace {

struct BenchCommand {
  std::string file, suite, json, plot, commit = LATHE_COMMIT, pass = "fwd";
  KernelOptions kernel;
  BenchMethod method;
  std::vector<std::string> fixed;
  int device = 0;
};

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc;
  gmtime_r(&now, &utc);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &utc);
  return text;
}

std::string commandText(const BenchCommand& options) {
  std::string text = "lathe bench";
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty())
      text += std::string(option[0] ? " " : "") + option + " " + value;
  };
  add("", options.file);
  add("--suite", options.suite);
  add("--shape", options.kernel.shape);
  add("--dims", options.kernel.dims);
  add("--dtype", options.kernel.dtype);
  text += options.kernel.pairedHeads ? " --paired-heads" : "";
  add("--family", options.kernel.family);
  add("--pass", options.pass == "bwd" ? options.pass : "");
  std::string fixed;
  for (const std::string& name : options.fixed)
    fixed += (fixed.empty() ? "" : ",") + name;
  add("--fixed", fixed);
  add("--tile", options.method.tile);
  add("--tune", numberText(options.method.tuneSeconds));
  add("--repeats", std::to_string(options.method.repeats));
  add("--json", options.json);
  return text;
}

/// The signature of a case of a suite: inputs and outputs of its dtype, the rest fp32.
Signature signatureOf(const BenchCase& benchCase, const Plan& plan) {
  KernelOptions options;
  options.dtype = name(benchCase.dtype);
  for (const auto& [dim, size] : benchCase.dims)
    options.dims += dim + "=" + std::to_string(size) + ",";
  options.pairedHeads = pairsHeads(plan, benchCase.heads, benchCase.shape.heads);
  return parseSignature(options, plan);
}

BenchRow measureOne(const BenchCommand& options, const BenchMethod& method, const DeviceInfo& gpu) {
  const CompiledVariant variant = loadVariant(options.file, options.kernel.variant);
  BenchCase only;
  only.variant = variant.name;
  only.shape = parseShape(options.kernel.shape);
  const Signature signature = parseSignature(options.kernel, variant.plan);
  only.heads = pairedHeads(variant.plan, signature, only.shape.heads);
  only.fixed = {options.fixed.begin(), options.fixed.end()};
  if (options.pass == "bwd")
    return measureBackward(only, variant, signature, gpu, method);
  return measure(only, variant, signature,
                 parseFamily(options.kernel.family, variant.plan, only.shape.tokens), gpu, method);
}

void writeText(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text << std::flush;
  if (!out)
    throw Error("cannot write '" + path + "'");
}

void printRecord(std::ostream& out, const BenchRecord& record) {
  out << record.machine << ", driver " << record.driver << ", copy "
      << fixedText(record.copyGBps, 0) << " GB/s\n";
  Table table({"variant", "pass", "family", "B", "T", "H", "tile", "us", "+-", "min", "ceiling"});
  for (const BenchRow& row : record.rows)
    table.add({row.variant, row.pass, row.family, std::to_string(row.shape.batch),
               std::to_string(row.shape.tokens), std::to_string(row.shape.heads), row.tile,
               fixedText(row.time.microseconds, 1), fixedText(row.time.mad, 1),
               bytesText(row.minBytes), fixedText(100 * row.ceilingShare, 1) + " %"});
  table.print(out);
}

void write(const BenchCommand& options, const BenchRecord& record) {
  if (!options.json.empty())
    writeText(options.json, toJson(record).dump(1) + "\n");
  if (!options.plot.empty())
    writeText(options.plot, plotSvg(record));
}

int bench(const BenchCommand& options) {
  const bool isSuite = !options.suite.empty();
  if (isSuite == !options.file.empty())
    throw UsageError("lathe bench takes either FILE with --shape, or --suite h200");
  if (isSuite && options.pass == "bwd")
    throw UsageError("--pass bwd takes a FILE; a suite says itself which passes it measures");
  if (options.pass == "bwd")
    refuseFamily(options.kernel.family);
  else if (!options.fixed.empty())
    throw UsageError("--fixed goes with --pass bwd");
  if (!isSuite && options.kernel.shape.empty())
    throw UsageError("lathe bench FILE needs --shape B,T,H, such as --shape 8,4096,16");
  const std::vector<BenchCase> cases = isSuite ? suiteOf(options.suite) : std::vector<BenchCase>(1);
  const DeviceInfo gpu = deviceInfo(options.device);
  Progress progress(std::cerr, isProgressTerminal());
  BenchMethod method = options.method;
  method.progress = [&](const std::string& step, int done, int total) {
    progress.show(step, done, total);
  };
  method.copyGBps = copyBandwidth(gpu);
  BenchRecord record{gpu.name, driverText(gpu),      options.commit,
                     today(),  commandText(options), method.copyGBps,
                     {}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!isSuite) {
      record.rows.push_back(measureOne(options, method, gpu));
      continue;
    }
    const BenchCase& one = cases[i];
    const CompiledVariant variant = loadVariant(one.variant, "");
    const Signature signature = signatureOf(one, variant.plan);
    record.rows.push_back(
        one.isBackward
            ? measureBackward(one, variant, signature, gpu, method)
            : measure(one, variant, signature, variant.plan.family(one.shape.tokens), gpu, method));
    progress.show("rows", int(i) + 1, int(cases.size()));
    // What was measured is kept even where a later row fails.
    write(options, record);
  }
  progress.finish();
  printRecord(std::cout, record);
  write(options, record);
  return 0;
}

}  // namespace

void addBench(CLI::App& app, Action& action) {
  auto options = std::make_shared<BenchCommand>();
  CLI::App* command = addCommand(
      app, "bench", "Measure a variant, or a suite, on this GPU",
      "  lathe bench gla --shape 8,4096,16\n"
      "  lathe bench gla --shape 8,4096,16 --tile c16,b64,v64 --plot gla.svg\n"
      "  lathe bench gla --shape 8,4096,16 --pass bwd\n"
      "  lathe bench --suite h200 --json h200.json --plot h200.svg\n"
      "Medians of launches with a cold L2. min: every input read once, every output written once,\n"
      "states written (of a step: read and written). ceiling: the time of a copy of so many "
      "bytes,\n"
      "measured in the same run, as a share of the kernel's.");
  command->add_option("FILE", options->file, "a .lathe file, or the name of a library variant");
  command->add_option("--suite", options->suite, "all cases of a suite: h200 or h200-backward")
      ->type_name("NAME");
  options->kernel.addShape(*command, false);
  options->kernel.addSignature(*command);
  options->kernel.addFamily(*command);
  command->add_option("--pass", options->pass, "fwd or bwd: the gradients of a call alone")
      ->type_name("PASS")
      ->check(CLI::IsMember({"fwd", "bwd"}));
  command
      ->add_option("--tile", options->method.tile,
                   "instead of the tuned one, e.g. c16,b64,v64; what is left out is as tuned")
      ->type_name("TILE");
  command
      ->add_option("--tune", options->method.tuneSeconds,
                   "seconds for tuning what was not tuned before; 0: the model's tile")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--fixed", options->fixed,
                   "with --pass bwd: inputs, params and consts whose gradients are not asked for")
      ->delimiter(',')
      ->type_name("NAMES");
  command->add_option("--repeats", options->method.repeats, "launches that are timed")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->add_option("--json", options->json, "write the record")->type_name("OUT.json");
  command->add_option("--plot", options->plot, "write a bar chart")->type_name("OUT.svg");
  command->add_option("--commit", options->commit, "of the record (default: of the build)")
      ->type_name("HASH");
  command->add_option("--gpu", options->device, "which one")->type_name("N");
  command->callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace lathe::tool
