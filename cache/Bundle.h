// What the command line does with the cache: list, verify, and carry entries to another machine. A
// bundle is either one file, entries end to end, or a folder laid out as a root is, which
// LATHE_CACHE_PATH can name as it stands.
#pragma once

#include "cache/Evict.h"
#include "cache/Store.h"

#include <filesystem>
#include <string>
#include <vector>

namespace lathe {

struct Listed {
  EntryFile file;
  nlohmann::json metadata;  ///< Null where the entry is damaged ...
  std::string problem;      ///< ... for this reason.
};

/// Every entry below a root or layer, read and checked, in the order of the keys.
std::vector<Listed> list(const std::filesystem::path& root);

struct Verified {
  int good = 0;
  int removed = 0;  ///< Damaged entries that were deleted.
  std::vector<Listed> damaged;
};

/// Checks every entry against its digest and its name; deletes the damaged ones if `repair`.
Verified verify(const std::filesystem::path& root, bool repair);

/// Writes the entries of `keys` (empty: all) of a root to `destination`: a folder where it is one
/// or ends in '/', otherwise one file. The number of entries. Throws std::runtime_error where a key
/// is not there or the destination cannot be written.
int exportBundle(const std::filesystem::path& root, const std::vector<std::string>& keys,
                 const std::filesystem::path& destination);

struct Imported {
  int added = 0;
  int present = 0;                    ///< Already there.
  std::vector<std::string> problems;  ///< One line for each that was left out.
};

/// Publishes the entries of a bundle, each checked first. Throws std::runtime_error where the
/// bundle cannot be read or the store cannot be written.
Imported importBundle(const Store& store, const std::filesystem::path& source);

}  // namespace lathe
