// Compiled variants for the tests of the command line.
#pragma once

#include "tools/lathe/SpecFile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace lathe::tool {

/// A variant of the library.
inline CompiledVariant libraryVariant(const std::string& name) {
  return loadVariant(LATHE_SOURCE_DIR "/variants/" + name + ".lathe", "");
}

/// The one variant of a text.
inline CompiledVariant variantOf(const std::string& text) {
  Diagnostics diagnostics;
  std::vector<CompiledVariant> variants = compile(text, "test.lathe", diagnostics);
  EXPECT_EQ(variants.size(), 1U);
  return variants.at(0);
}

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
