// Keeps the cache within its bound: least recently used entries go first. The time of use is the
// time of last modification, which a hit renews at most once an hour; access times are unreliable
// (relatime, noatime).
#pragma once

#include "cache/Files.h"
#include "cache/Options.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe {

struct EntryFile {
  std::filesystem::path path;
  std::string key;  ///< 64 digits, from its name.
  Stamp stamp;
  std::uint64_t bytes = 0;  ///< Of disk: whole blocks.
};

/// Every file below a root or layer that is named as an entry is, in the order of the keys.
std::vector<EntryFile> entryFiles(const std::filesystem::path& root);

/// Deletes least recently used entries until the rest take at most `maxBytes`. The bytes that were
/// freed.
std::uint64_t prune(const std::filesystem::path& root, std::uint64_t maxBytes);

/// What follows a publish, at most once an hour over all processes: prune to the bound, delete what
/// killed writers left behind (older than an hour) and failed sources older than a week. Reports
/// nothing and never fails.
void sweep(const StoreOptions& options);

}  // namespace lathe
