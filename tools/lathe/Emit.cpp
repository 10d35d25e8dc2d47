// lathe emit: any stage between the spec and the cubin, as text or bytes.
#include "compiler/cuda/Backward.h"
#include "compiler/cuda/Launcher.h"
#include "compiler/spec/Parser.h"
#include "runtime/Compile.h"
#include "tools/lathe/Command.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/PrintSpec.h"
#include "tools/lathe/SpecFile.h"
#include "tuner/BackwardPass.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <utility>

namespace lathe::tool {

namespace {

struct EmitOptions {
  std::string file, stage, output, launcher, part;
  bool isBackward = false;
  KernelOptions kernel;
};

/// The stages that are MLIR.
constexpr std::pair<const char*, Stage> mlirStages[] = {{"ir", Stage::ir},
                                                        {"normal", Stage::normal},
                                                        {"chunk", Stage::chunk},
                                                        {"gradient", Stage::gradient},
                                                        {"chunk-gradient", Stage::chunkGradient}};

std::string checkStage(const std::string& stage) {
  for (const auto& [name, known] : mlirStages)
    if (stage == name)
      return "";
  for (const char* known : {"spec", "plan", "cuda", "ptx", "cubin"})
    if (stage == known)
      return "";
  return "'" + stage +
         "' is no stage; accepted are spec, ir, normal, chunk, gradient, chunk-gradient, plan, "
         "cuda, ptx and cubin";
}

/// The variant as its author wrote it, in the normal style.
std::string specText(const EmitOptions& options, const std::string& variant) {
  Diagnostics diagnostics;
  const spec::Spec spec = spec::parse(readText(findSpec(options.file)), diagnostics);
  for (const spec::Variant& found : spec.variants)
    if (found.name == variant)
      return printVariant(found);
  return "";
}

void writeFile(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text << std::flush;
  if (!out)
    throw Error("cannot write '" + path + "'");
}

/// One kernel of the backward pass.
KernelSource partOf(const EmitOptions& options, const CompiledVariant& variant, const Shape& shape,
                    const std::string& arch) {
  const Device device = knownDevice(arch);
  const BackwardPass pass(variant, parseSignature(options.kernel, variant.plan), device);
  std::vector<Tile> tiles;
  for (const BackwardPass::Kernel& kernel : pass.kernels()) {
    const Tile best =
        candidates(kernel.plan, kernel.family, kernel.signature, device, shape.batch * shape.heads)
            .tiles.front();
    const bool isAsked = kernel.plan.variant == options.part;
    tiles.push_back(isAsked ? parseTile(options.kernel.tile, best) : best);
  }
  std::string names;
  for (const auto& step : pass.emit(tiles).steps)
    if (const auto* kernel = std::get_if<KernelStep>(&step)) {
      if (kernel->plan.variant == options.part)
        return kernel->source;
      names += (names.empty() ? "" : ", ") + kernel->plan.variant;
    }
  throw UsageError("the backward pass of " + variant.name + " has no part " + options.part +
                   "; on " + arch + " it has " + names);
}

/// With --launcher, also writes the host code beside the kernel.
KernelSource kernelOf(const EmitOptions& options, const CompiledVariant& variant,
                      const std::string& arch) {
  constexpr long long manyTokens = 4096;
  const Shape shape =
      options.kernel.shape.empty() ? Shape{8, manyTokens, 16} : parseShape(options.kernel.shape);
  if (!options.part.empty())
    return partOf(options, variant, shape, arch);
  const Plan& plan = options.isBackward ? variant.backward : variant.plan;
  Signature signature = parseSignature(options.kernel, variant.plan);
  if (options.isBackward)
    signature = adjointSignature(variant.plan, plan, signature);
  const Family family = options.isBackward ? Family::sequential
                                           : parseFamily(options.kernel.family, plan, shape.tokens);
  const Tile best =
      candidates(plan, family, signature, knownDevice(arch), shape.batch * shape.heads)
          .tiles.front();
  const KernelSource kernel = emit(plan, family, signature, parseTile(options.kernel.tile, best));
  if (!options.launcher.empty())
    writeFile(options.launcher,
              launcher(plan, signature, kernel, std::filesystem::path(options.output).filename()));
  return kernel;
}

std::string render(const EmitOptions& options) {
  const std::string& stage = options.stage;
  const CompiledVariant variant = loadVariant(options.file, options.kernel.variant);
  if (stage == "spec")
    return specText(options, variant.name);
  for (const auto& [name, form] : mlirStages)
    if (stage == name)
      return variant.ir(form);
  if (stage == "plan")
    return nlohmann::json(options.isBackward ? variant.backward : variant.plan).dump(2) + "\n";
  const std::string arch = archOrDefault(options.kernel.arch);
  const KernelSource kernel = kernelOf(options, variant, arch);
  if (stage == "cuda")
    return kernel.text;
  if (stage == "ptx")
    return Nvrtc::get().ptx(kernel.text, kernel.entry, arch);
  Kernels kernels;
  const Fetched fetched = kernels.get(kernel, arch);
  if (!options.output.empty()) {
    const Resources& used = fetched.kernel->resources;
    std::cerr << kernel.entry << " for " << arch << ": " << used.registers << " registers, "
              << used.spillStoreBytes << " bytes spilled, " << kernel.sharedBytes
              << " bytes of shared memory; "
              << (fetched.hit() ? "from the cache"
                                : "compiled in " + timeText(fetched.kernel->seconds))
              << "\n";
  }
  return fetched.kernel->cubin;
}

int emitStage(const EmitOptions& options) {
  if (options.stage == "cubin" && options.output.empty() && isatty(STDOUT_FILENO))
    throw UsageError("a cubin is no text; name a file with -o, or redirect stdout");
  if (!options.launcher.empty() && (options.stage != "cuda" || options.output.empty()))
    throw UsageError("--launcher goes with --stage cuda -o FILE, the kernel that it includes");
  const std::string text = render(options);
  if (options.output.empty() || options.output == "-") {
    std::cout << text << std::flush;
    return std::cout ? 0 : exitFailed;
  }
  writeFile(options.output, text);
  return 0;
}

}  // namespace

void addEmit(CLI::App& app, Action& action) {
  auto options = std::make_shared<EmitOptions>();
  CLI::App* command = addCommand(
      app, "emit", "Print one stage of the compilation",
      "  lathe emit gla --stage normal                        the recurrence, as MLIR\n"
      "  lathe emit gla --stage gradient                      its adjoint\n"
      "  lathe emit gla --stage cuda --dims K=64,V=64 -o gla.cu\n"
      "  lathe emit gla --stage cuda -o gla.cuh --launcher gla_launch.cuh\n"
      "  lathe emit gla --stage ptx --arch sm_80\n"
      "  lathe emit mamba2 --stage cubin --family step -o step.cubin\n"
      "  lathe emit mamba2 --stage cuda --backward            the sequential kernel of its "
      "adjoint\n"
      "The CUDA source is complete: it has no includes, and nvcc compiles it too. ptx and cubin "
      "need\nNVRTC, but no GPU.");
  command->add_option("FILE", options->file, "a .lathe file, or the name of a library variant")
      ->required();
  command->add_option("--stage", options->stage, "which one")
      ->required()
      ->type_name("STAGE")
      ->check(checkStage);
  command->add_option("-o,--output", options->output, "instead of stdout")->type_name("FILE");
  command->add_option("--launcher", options->launcher, "also write host code that launches it")
      ->type_name("FILE");
  command->add_flag(
      "--backward", options->isBackward,
      "the kernel of the backward pass that any variant has (plan, cuda, ptx, cubin)");
  command
      ->add_option("--part", options->part,
                   "one kernel of the backward pass that is chosen, by its name (cuda, ptx, cubin)")
      ->type_name("NAME");
  options->kernel.addSignature(*command);
  options->kernel.addShape(*command, false);
  options->kernel.addFamily(*command);
  options->kernel.addTile(*command);
  options->kernel.addArch(*command);
  command->callback([options, &action] { action = [options] { return emitStage(*options); }; });
}

}  // namespace lathe::tool
