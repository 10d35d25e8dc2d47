#include "tools/liblathe/Variant.h"

#include "compiler/cpu/OfProcess.h"
#include "tools/liblathe/Failure.h"
#include "tools/liblathe/Library.h"
#include "tools/liblathe/Shared.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <tuple>

namespace lathe::abi {

using nlohmann::json;

namespace {

/// Beside the errors only warnings: remarks are no mistakes.
std::string textOf(const Diagnostics& diagnostics, const std::string& file,
                   const std::string& text) {
  Diagnostics shown;
  for (const Diagnostic& found : diagnostics.all())
    if (found.severity == Severity::error)
      shown.error(found.span, found.message, found.help);
    else if (found.severity == Severity::warning)
      shown.warning(found.span, found.message, found.help);
  std::ostringstream out;
  shown.print(out, file, text);
  std::string all = out.str();
  while (all.ends_with('\n'))
    all.pop_back();
  return all;
}

CompiledVariant choose(std::vector<CompiledVariant> variants, const std::string& file,
                       const std::string& name) {
  if (name.empty() && variants.size() == 1)
    return std::move(variants.front());
  std::string names;
  for (CompiledVariant& variant : variants) {
    if (variant.name == name)
      return std::move(variant);
    names += (names.empty() ? "" : ", ") + variant.name;
  }
  if (name.empty())
    reject(file + " holds several variants; name one of them: " + names);
  reject(file + " has no variant '" + name + "'; it has " + names);
}

const char* nameOf(Operand::Kind kind) {
  switch (kind) {
  case Operand::Kind::input:
    return "input";
  case Operand::Kind::param:
    return "param";
  case Operand::Kind::constant:
    return "constant";
  case Operand::Kind::output:
    return "output";
  case Operand::Kind::state:
    return "state";
  }
  return "";
}

/// The operands as they are written: without the states that the compiler adds.
json operandsOf(const CompiledVariant& variant) {
  json operands = json::array();
  for (const Operand& operand : variant.plan.operands) {
    const auto& written = variant.token.program.declarations;
    const bool isWritten = std::any_of(written.begin(), written.end(),
                                       [&](const auto& own) { return own.name == operand.name; });
    if (isWritten)
      operands.push_back({{"name", operand.name},
                          {"kind", nameOf(operand.kind)},
                          {"dims", operand.dims},
                          {"log", operand.log}});
  }
  return operands;
}

std::string describe(const CompiledVariant& variant, const Diagnostics& diagnostics,
                     const std::string& file, const std::string& text) {
  const Plan& plan = variant.plan;
  json derived = json::array(), remarks = json::array(), warnings = json::array();
  for (const DerivedDim& own : plan.rules.derived)
    derived.push_back({{"dim", own.dim}, {"function", own.function}, {"from", own.from}});
  const auto note = [](json& list, int line, int column, const std::string& what) {
    list.push_back({{"line", line}, {"column", column}, {"text", what}});
  };
  for (const Remark& remark : plan.remarks)
    note(remarks, remark.line, remark.column, remark.text);
  for (const Diagnostic& found : diagnostics.all())
    if (found.severity == Severity::warning)
      note(warnings, found.span.line, found.span.column, found.message);
  json out = {{"name", variant.name},
              {"file", file},
              {"text", text},
              {"dims", plan.dims},
              {"derived", derived},
              {"even", plan.rules.even},
              {"operands", operandsOf(variant)},
              {"remarks", remarks},
              {"warnings", warnings},
              {"passes", {{"cpu", {"forward", "backward", "step"}}, {"cuda", json::array()}}}};
  if (plan.noKernel.empty() && variant.backward.noKernel.empty())
    out["passes"]["cuda"] = {"forward", "backward", "step"};
  else if (plan.noKernel.empty())
    out["passes"]["cuda"] = {"forward", "step"};
  else
    out["no_cuda"] = plan.noKernel;
  // Comments of a spec may hold any bytes.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string readText(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    reject("cannot read '" + path.string() + "'");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

using Key = std::tuple<std::string, std::string, std::string>;  // Text, file, name.

}  // namespace

std::shared_ptr<const Variant> compileText(const std::string& text, const std::string& file,
                                           const std::string& name) {
  return ofProcess<Shared<Key, Variant>>().get({text, file, name}, [&] {
    Diagnostics diagnostics;
    std::vector<CompiledVariant> variants = compile(text, file, diagnostics);
    if (diagnostics.hasErrors())
      throw Failure(LATHE_ERROR_SPEC, textOf(diagnostics, file, text));
    auto made = std::make_shared<Variant>();
    made->compiled = choose(std::move(variants), file, name);
    made->json = describe(made->compiled, diagnostics, file, text);
    return std::shared_ptr<const Variant>(std::move(made));
  });
}

std::shared_ptr<const Variant> loadFromLibrary(const std::string& name) {
  const char* folder = std::getenv("LATHE_VARIANTS");
  const bool isPlain = name.find('/') == std::string::npos;
  std::error_code error;
  if (folder && *folder && isPlain) {
    const std::filesystem::path path = std::filesystem::path(folder) / (name + ".lathe");
    if (std::filesystem::is_regular_file(path, error))
      return compileText(readText(path), path.string(), "");
  }
  std::string names;
  for (const LibraryFile* own = kLibraryFiles; own->name; ++own) {
    if (name == own->name)
      return compileText(own->text, name + ".lathe", "");
    names += (names.empty() ? "" : ", ") + std::string(own->name);
  }
  reject("the library has no variant '" + name + "'" +
         (folder && *folder ? ", and LATHE_VARIANTS no " + name + ".lathe" : std::string()) +
         "; it has " + names + "; lathe_compile takes the text of another");
}

}  // namespace lathe::abi
