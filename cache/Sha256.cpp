#include "cache/Sha256.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/SHA256.h"

namespace lathe {

Digest sha256(std::initializer_list<std::string_view> pieces) {
  llvm::SHA256 hash;
  for (std::string_view piece : pieces)
    hash.update(llvm::StringRef(piece.data(), piece.size()));
  return hash.final();
}

std::string toHex(const Digest& digest) {
  const char* digits = "0123456789abcdef";
  std::string hex;
  for (std::uint8_t byte : digest) {
    hex.push_back(digits[byte >> 4]);
    hex.push_back(digits[byte & 15]);
  }
  return hex;
}

}  // namespace lathe
