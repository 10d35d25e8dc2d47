#include "tools/lathe/KernelOptions.h"

#include "compiler/cuda/ParseSignature.h"
#include "runtime/Device.h"
#include "runtime/driver/Cuda.h"
#include "tools/lathe/Command.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace lathe::tool {

namespace {

constexpr const char* tileRule = " is no part of a tile; write c16,b64,v64,s2,k1,x1 (chunk, block, "
                                 "blockV, stages, splitK, columns), n8 (segments; n0: as the "
                                 "launch chooses) and portable or sm_90a";

std::string quoted(const std::string& text) { return "'" + text + "'"; }

[[noreturn]] void reject(const std::string& option, const std::string& given,
                         const std::string& problem) {
  throw UsageError(option + " " + given + ": " + problem);
}

/// The result of `parse`; what it does not accept becomes an error of the option.
template <typename Parse>
auto parsed(const std::string& option, const std::string& given, const Parse& parse) {
  try {
    return parse();
  } catch (const std::invalid_argument& error) {
    reject(option, given, error.what());
  }
}

}  // namespace

void KernelOptions::addVariant(CLI::App& command) {
  command.add_option("--variant", variant, "which variant of a FILE that holds several")
      ->type_name("NAME");
}

void KernelOptions::addSignature(CLI::App& command) {
  addVariant(command);
  command.add_option("--dims", dims, "sizes of the dimensions (default: 128 each)")
      ->type_name("K=128,V=64");
  command
      .add_option("--dtype", dtype,
                  "of inputs and outputs: bf16 (default), f16 or f32; exceptions by name")
      ->type_name("bf16[,g=f32]");
  command.add_flag("--paired-heads", pairedHeads,
                   "each two neighbouring heads share queries and keys");
}

void KernelOptions::addShape(CLI::App& command, bool isRequired) {
  command.add_option("--shape", shape, "batch, tokens, heads")
      ->type_name("B,T,H")
      ->required(isRequired);
}

void KernelOptions::addFamily(CLI::App& command) {
  command.add_option("--family", family, "scan, step or sequential (default: by the plan)")
      ->type_name("NAME");
}

void KernelOptions::addTile(CLI::App& command) {
  command.add_option("--tile", tile, "instead of the best by the model, e.g. c16,b64,v64")
      ->type_name("TILE");
}

void KernelOptions::addArch(CLI::App& command) {
  command.add_option("--arch", arch, "e.g. sm_80, sm_90a (default: this GPU's, else sm_90a)")
      ->type_name("ARCH");
}

std::map<std::string, int> parseDims(const std::string& text, const Plan& plan) {
  constexpr int usual = 128;
  std::map<std::string, int> dims;
  for (const std::string& dim : plan.dims)
    dims[dim] = usual;
  for (const DerivedDim& derived : plan.rules.derived)
    dims.erase(derived.dim);
  return parsed("--dims", text, [&] { return parseSizes(text, plan, std::move(dims)); });
}

Signature parseSignature(const KernelOptions& options, const Plan& plan) {
  Signature signature = parsed("--dtype", options.dtype, [&] {
    return parseDTypes(options.dtype, plan, Signature().compute);
  });
  signature.dims = parseDims(options.dims, plan);
  signature.pairedHeads = options.pairedHeads;
  return signature;
}

Shape parseShape(const std::string& text) {
  const std::vector<std::string> parts = splitList(text);
  Shape shape;
  if (parts.size() == 3) {
    shape = {parseCount(parts[0]), parseCount(parts[1]), parseCount(parts[2])};
    if (shape.batch > 0 && shape.tokens > 0 && shape.heads > 0)
      return shape;
  }
  throw UsageError("--shape " + text + " is no shape; write batch, tokens, heads: 8,4096,16");
}

Family parseFamily(const std::string& text, const Plan& plan, long long tokens) {
  if (text.empty())
    return plan.family(tokens);
  for (Family family : {Family::scan, Family::step, Family::sequential})
    if (text == name(family))
      return family;
  throw UsageError("'" + text + "' is no kernel family; accepted are scan, step and sequential");
}

void refuseFamily(const std::string& text) {
  if (!text.empty())
    throw UsageError(
        "--pass bwd takes no --family; its equation decides which kernels a backward pass has");
}

Tile parseTile(const std::string& text, const Tile& base) {
  Tile tile = base;
  if (!text.empty())
    tile.form = Form::portable, tile.segments = 0;
  for (const std::string& part : splitList(text)) {
    if (part == name(Form::portable) || part == name(Form::sm90a) || part == name(Form::general)) {
      tile.form = formNamed(part);
      continue;
    }
    const int size = static_cast<int>(std::min<std::int64_t>(
        parseCount(std::string_view(part).substr(1)), std::numeric_limits<int>::max()));
    int* field = part[0] == 'c'   ? &tile.chunk
                 : part[0] == 'b' ? &tile.block
                 : part[0] == 'v' ? &tile.blockV
                 : part[0] == 's' ? &tile.stages
                 : part[0] == 'k' ? &tile.splitK
                 : part[0] == 'x' ? &tile.columns
                 : part[0] == 'n' ? &tile.segments
                                  : nullptr;
    const bool mayBeZero = part == "c0" || part == "n0";
    if (!field || (size == 0 && !mayBeZero))
      reject("--tile", text, quoted(part) + tileRule);
    *field = size;
  }
  return tile;
}

std::string archOrDefault(const std::string& arch) {
  if (!arch.empty())
    return arch;
  return cuda::available() && deviceCount() > 0 ? deviceInfo(0).limits.arch : "sm_90a";
}

}  // namespace lathe::tool
