#include "compiler/cuda/Families.h"
#include "templates/Templates.h"

#include <algorithm>
#include <stdexcept>

namespace lathe {

KernelSource emit(const Plan& plan, Family family, const Signature& signature, const Tile& tile) {
  cuda::checkSignature(plan, signature);
  const bool isScan = family == Family::scan;
  if (tile.form != Form::portable && isScan != (tile.form == Form::sm90a))
    throw std::invalid_argument(
        std::string(name(family)) + " of '" + plan.variant + "' with tile " + toString(tile) +
        ": " +
        (isScan ? "only step and sequential have a form for " : "only a scan has a form for ") +
        (isScan ? "plans of any shape" : name(tile.form)));
  if (tile.segments != 0 && tile.form != Form::sm90a)
    throw std::invalid_argument(std::string(name(family)) + " of '" + plan.variant +
                                "' with tile " + toString(tile) +
                                ": only the form for sm_90a has segments");
  if (tile.form == Form::general)
    return cuda::emitGeneral(plan, family, signature, tile);
  return isScan ? cuda::emitScan(plan, signature, tile)
                : cuda::emitTokens(plan, family, signature, tile);
}

namespace cuda {

const char* decayName(const ScanForm& form) {
  switch (form.decay) {
  case DecayKind::none:
    return "none";
  case DecayKind::scalar:
    return "scalar";
  case DecayKind::vector:
    return form.decaySide == Side::key ? "keys" : "values";
  }
  return "unknown";
}

void checkSignature(const Plan& plan, const Signature& signature) {
  if (!plan.noKernel.empty())
    throw std::invalid_argument("variant '" + plan.variant +
                                "' has no GPU kernel yet: " + plan.noKernel);
  constexpr int maxPlain = 256, maxDerived = 1 << 13;
  for (const std::string& dim : plan.dims) {
    const bool isDerived =
        std::any_of(plan.rules.derived.begin(), plan.rules.derived.end(),
                    [&](const DerivedDim& derived) { return derived.dim == dim; });
    const int maxDim = isDerived ? maxDerived : maxPlain;
    auto found = signature.dims.find(dim);
    if (found == signature.dims.end())
      throw std::invalid_argument("variant '" + plan.variant + "' needs a size for its dimension " +
                                  dim);
    if (found->second < 1 || found->second > maxDim)
      throw std::invalid_argument("variant '" + plan.variant + "': " + dim + " = " +
                                  std::to_string(found->second) +
                                  " has no kernel; sizes are 1 to " + std::to_string(maxDim));
  }
  if (signature.dtypes.size() != plan.operands.size())
    throw std::invalid_argument("variant '" + plan.variant + "' has " +
                                std::to_string(plan.operands.size()) + " operands, the signature " +
                                std::to_string(signature.dtypes.size()) + " dtypes");
}

std::vector<KernelSource::Slot> tensorSlots(const Plan& plan) {
  using Role = KernelSource::Slot::Role;
  std::vector<KernelSource::Slot> slots;
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind != Operand::Kind::constant &&
        plan.operands[i].kind != Operand::Kind::state)
      slots.push_back({i, Role::operand});
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::state) {
      slots.push_back({i, Role::initial});
      slots.push_back({i, Role::final});
    }
  return slots;
}

int tensorIndex(const std::vector<KernelSource::Slot>& slots, int operand,
                KernelSource::Slot::Role role) {
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].operand == operand && slots[i].role == role)
      return int(i);
  throw std::logic_error("operand " + std::to_string(operand) + " is not a tensor of the kernel");
}

std::vector<int> constantOperands(const Plan& plan) {
  std::vector<int> result;
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::constant)
      result.push_back(i);
  return result;
}

int constantIndex(const KernelSource& kernel, int operand) {
  auto found = std::find(kernel.constants.begin(), kernel.constants.end(), operand);
  return int(found - kernel.constants.begin());
}

std::string entryName(const Plan& plan, Family family) {
  return std::string("lathe_") + name(family) + "_" + plan.variant;
}

static void appendTemplate(Text& text, const std::string& path) {
  for (const Template* entry = kTemplates; entry->path; ++entry)
    if (path == entry->path) {
      text.line("#line 1 \"", path, "\"");
      text.line(entry->text);
      return;
    }
  throw std::logic_error("no template '" + path + "'");
}

std::string textOf(const KernelSource& kernel, const std::string& path, const std::string& call) {
  Text text;
  text.line("// Made by Lathe.");
  text.line("namespace lathe {");
  appendTemplate(text, "templates/device/types.cuh");
  appendTemplate(text, path);
  text.line("}  // namespace lathe");
  text.line("extern \"C\" __global__ void __launch_bounds__(", kernel.threads, ") ", kernel.entry,
            "(const __grid_constant__ lathe::Args args) {");
  if (kernel.sharedBytes > 0)
    text.line("  extern __shared__ __align__(128) char shared[];");
  text.line("  using namespace lathe;");
  text.line("  ", call, ";");
  text.line("}");
  return text.str();
}

std::string gridFactor(const KernelSource& kernel) {
  return (kernel.headsOfBlock > 1 ? " / " + std::to_string(kernel.headsOfBlock) : std::string()) +
         " * " + std::to_string(kernel.tilesPerHead);
}

std::string assemble(const Plan& plan, const KernelSource& kernel,
                     const std::vector<std::string>& templates, const Text& variant,
                     const std::string& call, int minBlocks) {
  Text text;
  text.line("// ", kernel.entry, ": generated by Lathe from the variant '", plan.variant, "'.");
  text.line("// Launch: grid batch * heads", gridFactor(kernel),
            kernel.segmenting.chunk ? " * segments" : "", ", block ", kernel.threads,
            ", dynamic shared memory ", kernel.sharedBytes, " bytes.");
  text.line("namespace lathe {");
  for (const char* path : {"types", "math", "mma", "sequence", "tensor", "row"})
    appendTemplate(text, std::string("templates/device/") + path + ".cuh");
  text.line("#line 1 \"arguments of ", plan.variant, "\"");
  text.line("struct Args : Sizes {");
  text.line("  Tensor tensors[", kernel.tensors.size(), "];");
  text.line("  float constants[", kernel.constants.empty() ? 1 : kernel.constants.size(), "];");
  if (!kernel.copies.empty())
    text.line("  int mapped;\n  TensorMap maps[", kernel.copies.size(), "];");
  else if (!kernel.arch.empty())
    text.line("  static constexpr int mapped = 0;\n  static constexpr TensorMap maps[1] = {};");
  text.line("};");
  for (const std::string& path : templates)
    appendTemplate(text, path);
  int line = 1;
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::output && operand.line > 0)
      line = operand.line;
  text.line("#line ", line, " \"", plan.variant, ".lathe\"");
  text.append(variant);
  text.line("}  // namespace lathe");
  text.line("#line 1 \"entry of ", plan.variant, "\"");
  text.line("extern \"C\" __global__ void __launch_bounds__(", kernel.threads, ", ", minBlocks,
            ") ", kernel.entry, "(const __grid_constant__ lathe::Args args) {");
  text.line("  extern __shared__ __align__(128) char shared[];");
  text.line("  ", call);
  text.line("}");
  return text.str();
}

}  // namespace cuda
}  // namespace lathe
