// Compiled variants for the tests of the command line.
#pragma once

#include "tools/lathe/SpecFile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace lathe::tool {

/// The file of a library variant, and the variant.
std::string libraryFile(const std::string& name);
CompiledVariant libraryVariant(const std::string& name);

/// The one variant of a text.
CompiledVariant variantOf(const std::string& text);

/// The text of what `body` throws.
template <class Body> std::string errorOf(Body body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace lathe::tool
