// lathe run: a variant on the tensors of an .npz file.
#include "runtime/Prepare.h"
#include "tools/lathe/Command.h"
#include "tools/lathe/CpuDevice.h"
#include "tools/lathe/KernelOptions.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/SpecFile.h"
#include "tools/lathe/Tensors.h"
#include "tuner/Oracle.h"
#include "tuner/Sequences.h"
#include "tuner/Verify.h"

#include <chrono>
#include <iostream>
#include <memory>

namespace lathe::tool {

namespace {

struct RunOptions {
  std::string file, input, output, device = "auto", layout = "bthd";
  KernelOptions kernel;
  int chunk = 0;
  bool isChecked = false;
};

class Clock {
public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

private:
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
};

void say(const std::string& what, const std::string& text) {
  std::cerr << what << std::string(what.size() < 9 ? 9 - what.size() : 1, ' ') << text << "\n";
}

/// What runs a call.
struct Device {
  enum class Kind { gpu, cpu, interpreter };
  Kind kind;
  int ordinal = 0;  ///< Of a GPU.
};

/// Throws where the driver lacks what was asked for.
Device deviceOf(const RunOptions& options, const Plan& plan) {
  const std::string& text = options.device;
  if (text == "interpreter" || (text == "auto" && options.chunk > 0))
    return {Device::Kind::interpreter};
  if (text == "cpu")
    return {Device::Kind::cpu};
  if (text != "auto")
    return {Device::Kind::gpu, text == "cuda" ? 0 : std::stoi(text.substr(5))};
  if (plan.noKernel.empty() && cuda::available() && deviceCount() > 0)
    return {Device::Kind::gpu};
  return {hasCpuTarget() ? Device::Kind::cpu : Device::Kind::interpreter};
}

std::string checkDevice(const std::string& text) {
  const bool isNumbered = text.starts_with("cuda:") && text.size() > 5 && text.size() < 9 &&
                          text.find_first_not_of("0123456789", 5) == std::string::npos;
  return isNumbered || text == "auto" || text == "cpu" || text == "interpreter" || text == "cuda"
             ? ""
             : "'" + text + "' is no device; accepted are auto, cpu, interpreter and cuda:0";
}

/// Prints the verdict on every tensor; whether all are within its limit.
bool compare(const HostResult& found, const HostResult& expected, const std::string& against,
             const std::function<double(const std::string&)>& limitOf) {
  bool passed = true;
  const auto judgeAll = [&](const auto& some, const auto& others) {
    for (const auto& [name, tensor] : others) {
      const double ratio = errorRatio(some.at(name), tensor), limit = limitOf(name);
      const bool isRight = ratio <= limit;
      passed &= isRight;
      char text[160];
      std::snprintf(text, sizeof text, "%s: RMS(diff)/RMS(ref) %.2e against %s, limit %.0e: %s",
                    name.c_str(), ratio, against.c_str(), limit, isRight ? "right" : "WRONG");
      say("check", text);
    }
  };
  judgeAll(found.outputs, expected.outputs);
  judgeAll(found.states, expected.states);
  return passed;
}

const char* originText(Origin origin) {
  switch (origin) {
  case Origin::memory:
    return "from memory";
  case Origin::disk:
    return "from the cache";
  case Origin::compiled:
    return "compiled";
  }
  return "";
}

const char* originText(ChoiceOrigin origin) {
  switch (origin) {
  case ChoiceOrigin::tuned:
    return "as tuned for this shape";
  case ChoiceOrigin::nearby:
    return "as tuned for a nearby shape";
  case ChoiceOrigin::model:
    return "the model's choice; lathe tune measures";
  }
  return "";
}

/// What a kernel is chosen by: as many sequences as there are, of the longest's tokens.
Shape shapeOfSequences(const FileCall& file) {
  Shape shape{file.host.sequences(file.shape), 0, file.shape.heads};
  for (std::int64_t i = 0; i < shape.batch; ++i)
    shape.tokens = std::max(shape.tokens, sequenceAt(file.host, file.shape, i).tokens);
  return shape;
}

HostResult runOnGpu(const Plan& plan, const Signature& signature, const FileCall& file,
                    const RunOptions& options, int ordinal) {
  const DeviceInfo gpu = deviceInfo(ordinal);
  const Shape shape = shapeOfSequences(file);
  const Problem problem{&plan, parseFamily(options.kernel.family, plan, shape.tokens), signature,
                        shape};
  const Choice choice = choose(problem, gpu, Database());
  const Tile tile = parseTile(options.kernel.tile, choice.tile);
  say("device", gpu.name + " (" + gpu.limits.arch + "), " + name(signature.compute));
  say("kernel", std::string(name(problem.family)) + " " + toString(tile) + ", " +
                    (options.kernel.tile.empty() ? originText(choice.origin) : "as asked for"));
  Kernels kernels;
  const Clock preparing;
  const PreparedKernel kernel(kernels, plan, emit(plan, problem.family, signature, tile), signature,
                              ordinal);
  say("prepare", timeText(preparing.seconds()) + ", " + originText(kernel.origin()));
  cuda::ContextScope scope(ordinal);
  Placement placement(options.layout == "bhtd" ? Layout::bhtd : Layout::bthd);
  placement.device = ordinal;
  DeviceCall device(plan, signature, file.shape, file.host, placement);
  const LaunchPlan bound = device.bind(kernel.binder(), file.constants);
  const Stream stream;
  const Event begin, end;
  begin.record(stream);
  kernel.launch(bound, stream);
  end.record(stream);
  stream.synchronize();
  say("run", timeText(end.since(begin) * 1e-3) + " on the GPU, the first launch");
  return device.download();
}

HostResult runInterpreter(const CompiledVariant& variant, const FileCall& file, int chunk) {
  const Clock clock;
  HostResult result =
      interpretCall(variant, file.dims, file.shape, file.host, file.constants, chunk);
  say("device", "CPU, the interpreter in double precision, " +
                    (chunk == 0 ? "token by token" : "in chunks of " + std::to_string(chunk)));
  say("run", timeText(clock.seconds()));
  return result;
}

/// The CPU target in the dtypes of the signature.
HostResult runOnCpu(const CompiledVariant& variant, const Signature& signature,
                    const FileCall& file) {
  CpuRun ran = runOnCpuTarget(variant, signature, file.shape, file.host, file.constants);
  say("device", "CPU, " + ran.how);
  say("prepare", timeText(ran.compileSeconds) + ", compiled");
  say("run", timeText(ran.runSeconds));
  return std::move(ran.result);
}

/// fp32 arithmetic against the interpreter's; outputs of fewer bits are as far away as those.
double toleranceOnCpu(const Plan& plan, const Signature& signature, const std::string& tensor) {
  for (std::size_t i = 0; i < plan.operands.size(); ++i)
    if (plan.operands[i].name == tensor && plan.operands[i].kind == Operand::Kind::output &&
        signature.dtypes.at(i) != DType::f32)
      return signature.dtypes.at(i) == DType::bf16 ? 0x1p-8 : 0x1p-11;
  return 1e-5;
}

void requireChunks(const CompiledVariant& variant, Device device) {
  if (device.kind != Device::Kind::interpreter)
    throw Error("--chunk is for --device interpreter; on a GPU --tile c16 sets the chunk");
  if (!variant.has(Stage::chunk))
    throw Error("variant " + variant.plan.variant +
                " has no chunk form, which --chunk asks for; 'lathe check' says why");
}

/// Two derivations of one equation, both in double precision: the form that did not run is the
/// reference of the one that did.
bool compareForms(const CompiledVariant& variant, const FileCall& file, const HostResult& result,
                  int chunk) {
  constexpr int usualChunk = 64;
  constexpr double rounding = 1e-12;
  const HostResult expected = interpretCall(variant, file.dims, file.shape, file.host,
                                            file.constants, chunk == 0 ? usualChunk : 0);
  return compare(result, expected, chunk == 0 ? "the chunk form" : "the token form",
                 [](const std::string&) { return rounding; });
}

/// Whether the result is right.
bool check(const CompiledVariant& variant, const Signature& signature, const FileCall& file,
           const HostResult& result, Device device, int chunk) {
  if (device.kind == Device::Kind::interpreter) {
    if (variant.has(Stage::chunk))
      return compareForms(variant, file, result, chunk);
    say("check", "nothing to compare with: the variant has no chunk form");
    return true;
  }
  const HostResult expected =
      interpretCall(variant, file.dims, file.shape, file.host, file.constants, 0);
  return compare(result, expected, "the interpreter", [&](const std::string& tensor) {
    return device.kind == Device::Kind::gpu ? tolerance(variant.plan, signature, tensor)
                                            : toleranceOnCpu(variant.plan, signature, tensor);
  });
}

int run(const RunOptions& options) {
  const CompiledVariant variant = loadVariant(options.file, options.kernel.variant);
  const Plan& plan = variant.plan;
  const Layout layout = options.layout == "bhtd" ? Layout::bhtd : Layout::bthd;
  FileCall file = callOf(plan, readNpz(options.input), layout);
  KernelOptions kernel = options.kernel;
  const bool hasDType = !kernel.dtype.empty();
  if (!hasDType)
    kernel.dtype = file.isHalf ? "f16" : "f32";
  Signature signature = parseSignature(kernel, plan);
  signature.dims = file.dims;
  std::map<std::string, int> fewer;
  for (const auto& [name, tensor] : file.host.tensors)
    if (tensor.shape.size() > 2)
      fewer[name] = int(tensor.shape[2]);
  signature.pairedHeads = pairsHeads(plan, fewer, file.shape.heads);
  const Device device = deviceOf(options, plan);
  if (options.chunk > 0)
    requireChunks(variant, device);
  const bool isInterpreted = device.kind == Device::Kind::interpreter;
  if (!isInterpreted || hasDType)
    roundTo(plan, signature, file.host);
  const HostResult result = isInterpreted ? runInterpreter(variant, file, options.chunk)
                            : device.kind == Device::Kind::gpu
                                ? runOnGpu(plan, signature, file, options, device.ordinal)
                                : runOnCpu(variant, signature, file);
  const bool passed =
      !options.isChecked || check(variant, signature, file, result, device, options.chunk);
  const bool isDouble = isInterpreted && !hasDType && file.isDouble;
  if (!options.output.empty())
    writeNpz(options.output, arraysOf(result, layout, isDouble ? "<f8" : "<f4"));
  return passed ? 0 : exitFailed;
}

}  // namespace

void addRun(CLI::App& app, Action& action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = addCommand(
      app, "run", "Run a variant on the tensors of an .npz file",
      "  python3 -c 'import numpy as np; r = np.random.randn\n"
      "  np.savez(\"x.npz\", q=r(1,64,2,32), k=r(1,64,2,32), v=r(1,64,2,32), "
      "g=-abs(r(1,64,2,32)))'\n"
      "  lathe run gla --input x.npz --output y.npz --check\n"
      "  lathe run gla --input x.npz --output y.npz --device cuda:0 --dtype bf16\n"
      "Arrays carry the names of the spec: inputs [B,T,H,dims], params [H,dims], initial states\n"
      "[B,H,dims] (missing: zero), consts without axes (missing: as the spec says). Integers\n"
      "cu_seqlens [N+1] pack N sequences into the T of B=1, whose states are [N,H,dims]. The "
      "output\n"
      "holds the outputs and, under their own names, the final states, which continue as the\n"
      "initial states of a next run: in float32, and in float64 from the interpreter where all\n"
      "inputs are. --device cpu compiles the variant for this processor, in fp32; interpreter "
      "runs\n"
      "its equation in double precision.");
  command->add_option("FILE", options->file, "a .lathe file, or the name of a library variant")
      ->required();
  command->add_option("--input", options->input, "the arrays")->required()->type_name("X.npz");
  command->add_option("--output", options->output, "where the results go")->type_name("Y.npz");
  command
      ->add_option("--device", options->device,
                   "auto (a GPU that runs it, else cpu), cpu, interpreter or cuda:0")
      ->type_name("DEVICE")
      ->check(checkDevice);
  command->add_option("--layout", options->layout, "of the arrays: bthd or bhtd")
      ->type_name("LAYOUT")
      ->check(CLI::IsMember({"bthd", "bhtd"}));
  options->kernel.addVariant(*command);
  command
      ->add_option("--dtype", options->kernel.dtype,
                   "that inputs are rounded to: bf16, f16 or f32 (default: f16 if all inputs are "
                   "float16, else f32; interpreter: none)")
      ->type_name("bf16[,g=f32]");
  options->kernel.addFamily(*command);
  options->kernel.addTile(*command);
  command
      ->add_option("--chunk", options->chunk,
                   "interpreter: run the chunk form, this many tokens at a time")
      ->type_name("TOKENS")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--check", options->isChecked,
                    "compare with the interpreter (itself with its chunk form, or with its token\n"
                    "form after --chunk); exit code 1 if wrong");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace lathe::tool
