#include "cache/Store.h"

#include "cache/Evict.h"
#include "cache/Files.h"
#include "cache/Log.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace lathe {

namespace fs = std::filesystem;

namespace {

/// How stale the recorded use of an entry may be: a hit writes to the disk at most this often, in
/// seconds.
constexpr double touchInterval = 3600;

void reportFailure(const fs::path& root, const std::string& action, const fs::path& path,
                   Errno error) {
  logOnce(LogLevel::warn, root.string() + " " + action + " " + std::to_string(error),
          "cannot " + action + " the kernel cache at " + path.string() + ": " +
              std::strerror(error) + "; going on without (LATHE_CACHE_DIR names another place)");
}

}  // namespace

fs::path entryPath(const fs::path& root, const std::string& hex) {
  return root / "v1" / hex.substr(0, 2) / (hex.substr(2) + ".lathe");
}

fs::path scratchFolder(const fs::path& root) { return root / "v1" / "tmp"; }

Store::Store(StoreOptions options) : settings(std::move(options)) {
  std::string problem;
  if (settings.privateRoot && !privateFolder(settings.root, false, problem)) {
    logOnce(LogLevel::warn, "private root",
            "not using " + settings.root.string() + " as the kernel cache: " + problem +
                "; set LATHE_CACHE_DIR to a folder of your own");
    settings.root.clear();
  }
}

bool Store::writable() const {
  return settings.mode == CacheMode::readWrite && !settings.root.empty();
}

std::optional<Entry> Store::lookup(const Key& key) const {
  if (settings.mode == CacheMode::off)
    return std::nullopt;
  if (!settings.root.empty())
    if (std::optional<Entry> entry = read(entryPath(settings.root, key.hex), key, writable()))
      return entry;
  for (const fs::path& layer : settings.layers)
    if (std::optional<Entry> entry = read(entryPath(layer, key.hex), key, false))
      return entry;
  return std::nullopt;
}

std::optional<Entry> Store::read(const fs::path& path, const Key& key, bool repair) const {
  FileContent content;
  if (Errno error = readFile(path, content)) {
    if (error != ENOENT && error != ENOTDIR)
      reportFailure(settings.root, "read", path, error);
    return std::nullopt;
  }
  std::string problem;
  std::optional<Entry> entry = decode(content.bytes, problem);
  if (entry && entry->keyText != key.text) {
    problem = "it holds another kernel than its name says";
    entry.reset();
  }
  if (!entry) {
    bool removed = repair && removeIfUnchanged(path, content.stamp) == 0;
    logOnce(LogLevel::warn, "corrupt " + path.string(),
            "damaged cache entry " + path.string() + ": " + problem +
                (removed ? "; deleted, compiling again" : "; ignored, compiling again"));
    return std::nullopt;
  }
  // A time in the future is another machine's clock: it would keep the entry from ever being
  // evicted.
  double age = ageOf(content.stamp.modified);
  if (repair && (age > touchInterval || age < -touchInterval))
    touch(path);
  return entry;
}

bool Store::publish(const Key& key, const Entry& entry) const {
  if (!writable())
    return false;
  std::string problem;
  if (settings.privateRoot && !privateFolder(settings.root, true, problem)) {
    logOnce(LogLevel::warn, "private root",
            "cannot use " + settings.root.string() + ": " + problem);
    return false;
  }
  fs::path path = entryPath(settings.root, key.hex);
  if (Errno error = publishFile(path, scratchFolder(settings.root), encode(entry))) {
    reportFailure(settings.root, "write to", settings.root, error);
    return false;
  }
  sweep(settings);
  return true;
}

bool Store::remove(const Key& key) const {
  if (!writable())
    return false;
  fs::path path = entryPath(settings.root, key.hex);
  std::optional<Stamp> stamp = stampOf(path);
  return stamp && removeIfUnchanged(path, *stamp) == 0;
}

std::optional<fs::path> Store::keepFailed(const std::string& name, const std::string& text) const {
  std::string problem;
  if (!writable() || (settings.privateRoot && !privateFolder(settings.root, true, problem)))
    return std::nullopt;
  fs::path path = settings.root / "failed" / name;
  if (publishFile(path, scratchFolder(settings.root), text) != 0)
    return std::nullopt;
  return path;
}

}  // namespace lathe
