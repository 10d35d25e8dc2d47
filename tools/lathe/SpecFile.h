// From the FILE of a command line to a compiled variant.
#pragma once

#include "compiler/Compile.h"

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::tool {

/// The folders in which a name like "gla" is looked for: LATHE_VARIANTS, ./variants, and `variants`
/// beside and above the executable, so that a bundle brings its own.
std::vector<std::filesystem::path> variantFolders();

/// The file that FILE means: a path, or the name of a variant of the library. Throws Error, with
/// every place that was searched.
std::filesystem::path findSpec(const std::string& file);

struct SpecFile {
  std::string path;
  std::string text;
  std::vector<CompiledVariant> variants;
  Diagnostics diagnostics;
};

/// Throws Error where the file cannot be read.
std::string readText(const std::filesystem::path& path);

/// Compiles a file; mistakes are in `diagnostics`. Throws Error where the file cannot be read.
SpecFile compileFile(const std::string& file);

/// All variants of FILE, or the one of this name. Prints and throws as loadVariant.
std::vector<CompiledVariant> loadVariants(const std::string& file, const std::string& name);

/// The one variant of FILE, or the one of this name. Prints mistakes and warnings to stderr. Throws
/// Reported after a mistake, UsageError where there are several and `name` is empty or unknown.
CompiledVariant loadVariant(const std::string& file, const std::string& name);

}  // namespace lathe::tool
