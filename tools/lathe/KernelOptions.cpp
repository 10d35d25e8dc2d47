#include "tools/lathe/KernelOptions.h"

#include "compiler/plan/Dims.h"
#include "runtime/Device.h"
#include "runtime/driver/Cuda.h"
#include "tools/lathe/Command.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>
#include <stdexcept>

namespace lathe::tool {

namespace {

std::vector<std::string> split(const std::string& text) {
  std::string spaced = text;
  std::replace(spaced.begin(), spaced.end(), ',', ' ');
  std::istringstream words(spaced);
  std::vector<std::string> parts;
  for (std::string word; words >> word;)
    parts.push_back(word);
  return parts;
}

/// A whole number of at least 1; 0 where the text is none.
std::int64_t parseCount(std::string_view text) {
  std::int64_t number = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && rest == text.data() + text.size()
             ? std::max<std::int64_t>(number, 0)
             : 0;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

constexpr const char* tileRule = " is no part of a tile; write c16,b64,v64,s2,k1,x1 (chunk, block, "
                                 "blockV, stages, splitK, columns), n8 (segments; n0: as the "
                                 "launch chooses) and portable or sm_90a";

std::string quoted(const std::string& text) { return "'" + text + "'"; }

[[noreturn]] void reject(const std::string& option, const std::string& given,
                         const std::string& problem) {
  throw UsageError(option + " " + given + ": " + problem);
}

std::string lacks(const Plan& plan, const std::string& what, const std::string& name) {
  return "variant " + plan.variant + " has no " + what + " " + quoted(name);
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
  constexpr int usual = 128, largest = 1 << 20;
  std::map<std::string, int> dims;
  for (const std::string& dim : plan.dims)
    dims[dim] = usual;
  for (const DerivedDim& derived : plan.rules.derived)
    dims.erase(derived.dim);
  for (const std::string& part : split(text)) {
    const std::size_t equals = part.find('=');
    const std::string dim = part.substr(0, equals);
    const std::int64_t size =
        equals == std::string::npos ? 0 : parseCount(std::string_view(part).substr(equals + 1));
    if (size < 1 || size > largest)
      reject("--dims", text, quoted(part) + " is no size; write K=128,V=64");
    if (std::find(plan.dims.begin(), plan.dims.end(), dim) == plan.dims.end())
      reject("--dims", text, lacks(plan, "dimension", dim) + "; it has " + join(plan.dims));
    dims[dim] = static_cast<int>(size);
  }
  try {
    return completeDims(plan.variant, plan.rules, std::move(dims));
  } catch (const std::invalid_argument& error) {
    reject("--dims", text, error.what());
  }
}

DType parseDType(const std::string& text) {
  for (DType dtype : {DType::bf16, DType::f16, DType::f32})
    if (text == name(dtype))
      return dtype;
  throw UsageError("'" + text + "' is no dtype; accepted are bf16, f16 and f32");
}

Signature parseSignature(const KernelOptions& options, const Plan& plan) {
  Signature signature;
  signature.dims = parseDims(options.dims, plan);
  signature.pairedHeads = options.pairedHeads;
  std::map<std::string, DType> exceptions;
  for (const std::string& part : split(options.dtype)) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      signature.compute = parseDType(part);
    else
      exceptions[part.substr(0, equals)] = parseDType(part.substr(equals + 1));
  }
  for (const Operand& operand : plan.operands) {
    const bool isStream =
        operand.kind == Operand::Kind::input || operand.kind == Operand::Kind::output;
    DType dtype = isStream ? signature.compute : DType::f32;
    if (auto found = exceptions.find(operand.name); found != exceptions.end()) {
      dtype = found->second;
      exceptions.erase(found);
    }
    signature.dtypes.push_back(dtype);
  }
  if (!exceptions.empty())
    reject("--dtype", options.dtype, lacks(plan, "operand", exceptions.begin()->first));
  return signature;
}

Shape parseShape(const std::string& text) {
  const std::vector<std::string> parts = split(text);
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

Tile parseTile(const std::string& text, const Tile& base) {
  Tile tile = base;
  if (!text.empty())
    tile.form = Form::portable, tile.segments = 0;
  for (const std::string& part : split(text)) {
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
