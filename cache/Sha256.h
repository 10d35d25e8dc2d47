// SHA-256 (FIPS 180-4), LLVM's, behind an interface without LLVM's headers.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lathe {

using Digest = std::array<std::uint8_t, 32>;

/// The digest of the pieces, one after the other.
Digest sha256(std::initializer_list<std::string_view> pieces);

/// 64 lower-case hexadecimal digits.
std::string toHex(const Digest& digest);

inline std::string sha256Hex(std::string_view bytes) { return toHex(sha256({bytes})); }

}  // namespace lathe
