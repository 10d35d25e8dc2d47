// Where the cache is and what may be done with it, as the environment says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe {

enum class CacheMode {
  off,       ///< Neither read nor written.
  readOnly,  ///< Read, never written, touched or repaired.
  readWrite,
};

struct StoreOptions {
  std::filesystem::path root;  ///< Empty: there is none.
  bool privateRoot = false;    ///< Below the shared /tmp: used only if it is ours alone.
  CacheMode mode = CacheMode::readWrite;
  std::vector<std::filesystem::path> layers;  ///< Searched after the root, in order; never written.
  std::uint64_t maxBytes = std::uint64_t(2) << 30;  ///< 0: no bound.

  /// LATHE_CACHE=off|ro|rw, LATHE_CACHE_PATH, LATHE_CACHE_MAX_BYTES and the root: LATHE_CACHE_DIR,
  /// else $XDG_CACHE_HOME/lathe, else $HOME/.cache/lathe, else /tmp/lathe-<uid>. Creates nothing. A
  /// value that cannot be read is reported once and its default taken.
  static StoreOptions fromEnvironment();
};

/// Whether a folder below the shared /tmp is ours alone, or absent (`create`: made, mode 0700).
/// False, and why in `problem`, where something stands there that others own or may write to: what
/// lies in it would run on the GPU in our name.
bool privateFolder(const std::filesystem::path& folder, bool create, std::string& problem);

/// "2147483648", "512M", "2G" (powers of 1024). Throws std::invalid_argument for other texts.
std::uint64_t parseBytes(const std::string& text);

}  // namespace lathe
