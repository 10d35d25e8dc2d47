// A variant as the ABI hands it out.
#pragma once

#include "compiler/Compile.h"

#include <memory>
#include <string>

namespace lathe::abi {

struct Variant {
  CompiledVariant compiled;
  std::string json;  ///< lathe_variant_json
};

/// lathe_compile: equal texts share a variant as long as one is held. `name` may be empty. Throws
/// Failure.
std::shared_ptr<const Variant> compileText(const std::string& text, const std::string& file,
                                           const std::string& name);

/// lathe_load. Throws Failure.
std::shared_ptr<const Variant> loadFromLibrary(const std::string& name);

}  // namespace lathe::abi
