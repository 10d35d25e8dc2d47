// What a cached kernel depends on: the final source, the options and the compiler's build, and
// nothing else. No paths, no times, no driver: a cubin does not depend on them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// Part of every key: raise it when the meaning of an entry changes.
inline constexpr int cacheSchema = 1;

struct Key {
  std::string text;  ///< Canonical and readable; kept in the entry.
  std::string hex;   ///< SHA-256 of the text, 64 digits: the name of the entry.
};

/// The options, trimmed, short spellings written out, sorted by name (options of one name keep
/// their order, as the last one wins), repetitions dropped. Throws std::invalid_argument for
/// options that read or write files (include paths, precompiled headers): the key could not see
/// what is in them.
std::vector<std::string> normaliseOptions(const std::vector<std::string>& options);

/// The key of `source` compiled with `options` by the compiler that calls itself `compiler`, e.g.
/// "NVRTC 13.0 build ...".
Key makeKey(std::string_view source, const std::vector<std::string>& options,
            std::string_view compiler);

/// Whether `hex` is 64 lower-case hexadecimal digits.
bool isKeyHex(std::string_view hex);

}  // namespace lathe
