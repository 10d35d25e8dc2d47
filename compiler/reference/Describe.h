// What errors of a call say of programs and shapes.
#pragma once

#include "compiler/reference/Program.h"

#include <cstdint>

namespace lathe::reference {

/// "input", "param", "const", "output" or "state".
inline const char* name(Declaration::Kind kind) {
  switch (kind) {
  case Declaration::Kind::input:
    return "input";
  case Declaration::Kind::param:
    return "param";
  case Declaration::Kind::constant:
    return "const";
  case Declaration::Kind::output:
    return "output";
  case Declaration::Kind::state:
    return "state";
  }
  return "";
}

/// "[2, 37, 4]"
inline std::string textOf(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (std::int64_t size : shape)
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

}  // namespace lathe::reference
