#include "tools/lathe/SpecFile.h"

#include "tools/lathe/Command.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

namespace lathe::tool {

namespace fs = std::filesystem;

std::vector<fs::path> variantFolders() {
  std::vector<fs::path> folders;
  if (const char* named = std::getenv("LATHE_VARIANTS"); named && *named)
    folders.emplace_back(named);
  folders.emplace_back("variants");
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    folders.push_back(program.parent_path().parent_path() / "variants");
    folders.push_back(program.parent_path() / "variants");
    // build/<preset>/bin, of a checkout that is used from another folder.
    folders.push_back(program.parent_path().parent_path().parent_path().parent_path() / "variants");
  }
  return folders;
}

fs::path findSpec(const std::string& file) {
  std::error_code error;
  if (fs::is_regular_file(file, error))
    return file;
  const bool isName = file.find('/') == std::string::npos && !file.ends_with(".lathe");
  if (!isName)
    throw Error("cannot find '" + file + "'; FILE is a .lathe file or the name of a variant");
  std::string searched;
  for (const fs::path& folder : variantFolders()) {
    fs::path path = folder / (file + ".lathe");
    if (fs::is_regular_file(path, error))
      return path;
    searched += (searched.empty() ? "" : ", ") + folder.string();
  }
  throw Error("cannot find '" + file + "', neither as a file nor as " + file + ".lathe in " +
              searched + "; LATHE_VARIANTS names another folder");
}

std::string readText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw Error("cannot read '" + path.string() + "'");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

SpecFile compileFile(const std::string& file) {
  SpecFile spec;
  spec.path = findSpec(file).string();
  spec.text = readText(spec.path);
  spec.variants = compile(spec.text, spec.path, spec.diagnostics);
  return spec;
}

namespace {

SpecFile compileOrReport(const std::string& file) {
  SpecFile spec = compileFile(file);
  Diagnostics shown;
  for (const Diagnostic& found : spec.diagnostics.all()) {
    if (found.severity == Severity::error)
      shown.error(found.span, found.message, found.help);
    else if (found.severity == Severity::warning)
      shown.warning(found.span, found.message, found.help);
  }
  shown.print(std::cerr, spec.path, spec.text);
  if (spec.diagnostics.hasErrors())
    throw Reported();
  return spec;
}

std::vector<CompiledVariant> chosen(SpecFile spec, const std::string& name) {
  if (name.empty())
    return std::move(spec.variants);
  std::string names;
  for (CompiledVariant& variant : spec.variants) {
    if (variant.name == name)
      return {std::move(variant)};
    names += (names.empty() ? "" : ", ") + variant.name;
  }
  throw UsageError(spec.path + " has no variant '" + name + "'; it has " + names);
}

}  // namespace

std::vector<CompiledVariant> loadVariants(const std::string& file, const std::string& name) {
  return chosen(compileOrReport(file), name);
}

CompiledVariant loadVariant(const std::string& file, const std::string& name) {
  std::vector<CompiledVariant> variants = loadVariants(file, name);
  if (variants.size() == 1)
    return std::move(variants.front());
  std::string names;
  for (const CompiledVariant& variant : variants)
    names += (names.empty() ? "" : ", ") + variant.name;
  throw UsageError(findSpec(file).string() +
                   " holds several variants; choose one with --variant: " + names);
}

}  // namespace lathe::tool
