// The cache on disk: <root>/v1/<2 digits>/<62 digits>.lathe, and the same layout in any number of
// read-only layers.
//
// Correct without locks: an entry is complete or absent, and two processes that build the same
// kernel publish the same bytes. Never fatal: whatever the disk does, lookup misses and publish
// returns false, with one line in the log for each cause.
#pragma once

#include "cache/Entry.h"
#include "cache/Key.h"
#include "cache/Options.h"

#include <filesystem>
#include <optional>
#include <string>

namespace lathe {

/// Thread-safe. Touches the disk only when asked for something.
class Store {
public:
  explicit Store(StoreOptions options = StoreOptions::fromEnvironment());

  /// The entry of `key`, from the root or the first layer that has it. A damaged file is a miss:
  /// reported once, and deleted from a root that may be written.
  std::optional<Entry> lookup(const Key& key) const;

  /// Keeps an entry for other processes. False where it could not be kept. Once an hour, evicts
  /// what was not used longest.
  bool publish(const Key& key, const Entry& entry) const;

  /// Forgets an entry, e.g. one that the driver refused. False where it stays (read-only root, a
  /// layer, not there).
  bool remove(const Key& key) const;

  /// Keeps a source that failed to compile, at <root>/failed/<name>. The path, or nothing where it
  /// could not be written.
  std::optional<std::filesystem::path> keepFailed(const std::string& name,
                                                  const std::string& text) const;

  const StoreOptions& options() const { return settings; }

private:
  bool writable() const;
  std::optional<Entry> read(const std::filesystem::path& path, const Key& key, bool repair) const;

  StoreOptions settings;
};

/// Where the entry of a key lies below a root or layer.
std::filesystem::path entryPath(const std::filesystem::path& root, const std::string& hex);

/// Where new files are written before they are renamed to their place.
std::filesystem::path scratchFolder(const std::filesystem::path& root);

}  // namespace lathe
