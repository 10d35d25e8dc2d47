// The few file operations that the cache rests on, none of which throws.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace lathe {

/// Which file stood at a path when it was read. Deleting checks it again, so that a file that
/// another process has put there since is left alone.
struct Stamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::timespec modified = {};

  bool operator==(const Stamp& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           modified.tv_sec == other.modified.tv_sec && modified.tv_nsec == other.modified.tv_nsec;
  }
};

struct FileContent {
  std::string bytes;
  Stamp stamp;
};

/// The errno of what was tried; 0 where it worked.
using Errno = int;

Errno readFile(const std::filesystem::path& path, FileContent& content);

/// Deletes the file at `path` if it still is the one of `stamp`.
Errno removeIfUnchanged(const std::filesystem::path& path, const Stamp& stamp);

/// Makes `path` hold `bytes`, whole or not at all, whatever else happens: a new file in `scratch`,
/// fsync, one rename. Makes the folders. On failure the new file is gone again.
Errno publishFile(const std::filesystem::path& path, const std::filesystem::path& scratch,
                  std::string_view bytes);

/// Makes a folder and those above it, mode 0777 less the umask.
Errno makeFolders(const std::filesystem::path& folder);

/// Sets the time of last modification to now.
Errno touch(const std::filesystem::path& path);

/// Seconds since the last modification; negative where the clock that wrote it is ahead of ours.
double ageOf(const std::timespec& modified);

/// What stands at `path` (links are not followed).
std::optional<Stamp> stampOf(const std::filesystem::path& path);

}  // namespace lathe
