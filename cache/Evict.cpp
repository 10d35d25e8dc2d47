#include "cache/Evict.h"

#include "cache/Key.h"
#include "cache/Log.h"
#include "cache/Store.h"

#include <algorithm>
#include <cmath>
#include <sys/stat.h>

namespace lathe {

namespace fs = std::filesystem;

namespace {

constexpr double hour = 3600, week = 7 * 24 * hour;

/// The paths in a folder; none where it cannot be read.
std::vector<fs::path> children(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    paths.push_back(it->path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// A time far in the future counts as old too: nothing that is being written carries one.
void removeOlder(const fs::path& folder, double seconds) {
  for (const fs::path& path : children(folder))
    if (std::optional<Stamp> stamp = stampOf(path))
      if (std::abs(ageOf(stamp->modified)) > seconds)
        removeIfUnchanged(path, *stamp);
}

/// Seconds since the last use. Entries dated in the future are as if used just now, so that they
/// can be evicted in turn.
double idle(const EntryFile& file) { return std::max(0.0, ageOf(file.stamp.modified)); }

}  // namespace

std::vector<EntryFile> entryFiles(const fs::path& root) {
  std::vector<EntryFile> files;
  for (const fs::path& folder : children(root / "v1"))
    for (const fs::path& path : children(folder)) {
      EntryFile file{path, folder.filename().string() + path.stem().string(), {}, 0};
      struct stat status;
      if (path.extension() != ".lathe" || !isKeyHex(file.key) ||
          lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
        continue;
      file.stamp = {status.st_dev, status.st_ino, status.st_size, status.st_mtim};
      // File systems that place blocks late say 0 for a while.
      file.bytes = std::max<std::uint64_t>(status.st_size, 512 * std::uint64_t(status.st_blocks));
      files.push_back(std::move(file));
    }
  return files;
}

std::uint64_t prune(const fs::path& root, std::uint64_t maxBytes) {
  std::vector<EntryFile> files = entryFiles(root);
  std::uint64_t total = 0;
  for (const EntryFile& file : files)
    total += file.bytes;
  std::vector<std::pair<double, const EntryFile*>> byAge;
  for (const EntryFile& file : files)
    byAge.emplace_back(idle(file), &file);
  std::stable_sort(byAge.begin(), byAge.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::uint64_t freed = 0;
  for (const auto& [age, file] : byAge) {
    if (total - freed <= maxBytes)
      break;
    if (removeIfUnchanged(file->path, file->stamp) == 0)
      freed += file->bytes;
  }
  return freed;
}

void sweep(const StoreOptions& options) {
  fs::path mark = options.root / "v1" / "swept";
  std::optional<Stamp> last = stampOf(mark);
  if (last && std::abs(ageOf(last->modified)) < hour)
    return;
  // First the mark, so that other processes do not sweep too.
  if (publishFile(mark, scratchFolder(options.root), "") != 0)
    return;
  removeOlder(scratchFolder(options.root), hour);
  removeOlder(options.root / "failed", week);
  if (options.maxBytes == 0)
    return;
  if (std::uint64_t freed = prune(options.root, options.maxBytes))
    log(LogLevel::info, "kernel cache: evicted " + std::to_string(freed) + " bytes");
}

}  // namespace lathe
