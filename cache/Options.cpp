#include "cache/Options.h"

#include "cache/Log.h"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace lathe {

namespace fs = std::filesystem;

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

CacheMode modeFromEnvironment() {
  std::string text = environment("LATHE_CACHE");
  if (text == "off")
    return CacheMode::off;
  if (text == "ro")
    return CacheMode::readOnly;
  if (!text.empty() && text != "rw")
    logOnce(LogLevel::warn, "LATHE_CACHE=" + text,
            "LATHE_CACHE is '" + text + "', which is none of off, ro, rw; using rw");
  return CacheMode::readWrite;
}

std::vector<fs::path> layersFromEnvironment() {
  std::vector<fs::path> layers;
  std::string text = environment("LATHE_CACHE_PATH");
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = std::min(text.find(':', begin), text.size());
    if (end > begin)
      layers.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return layers;
}

}  // namespace

std::uint64_t parseBytes(const std::string& text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  int shift = 0;
  if (error == std::errc() && end - rest == 1) {
    const char* units = "KMG";
    const char* unit = std::strchr(units, *rest);
    shift = unit ? 10 * int(unit - units + 1) : 0;
    rest += unit ? 1 : 0;
  }
  if (error != std::errc() || rest != end || (value << shift) >> shift != value)
    throw std::invalid_argument("'" + text +
                                "' is not a number of bytes, such as 1000000, 512M or 2G");
  return value << shift;
}

bool privateFolder(const fs::path& folder, bool create, std::string& problem) {
  if (create && mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    problem = std::strerror(errno);
    return false;
  }
  struct stat status;
  if (lstat(folder.c_str(), &status) != 0) {
    problem = std::strerror(errno);
    return errno == ENOENT && !create;
  }
  if (!S_ISDIR(status.st_mode))
    problem = "it is not a folder";
  else if (status.st_uid != geteuid())
    problem = "it belongs to user " + std::to_string(status.st_uid);
  else if (status.st_mode & 022)
    problem = "other users may write to it";
  else
    return true;
  return false;
}

StoreOptions StoreOptions::fromEnvironment() {
  StoreOptions options;
  options.mode = modeFromEnvironment();
  if (options.mode == CacheMode::off)
    return options;
  std::string directory = environment("LATHE_CACHE_DIR");
  // Both are to be absolute (XDG Base Directory Specification); others are ignored, as it asks.
  fs::path base = environment("XDG_CACHE_HOME"), home = environment("HOME");
  if (!directory.empty())
    options.root = directory;
  else if (base.is_absolute())
    options.root = base / "lathe";
  else if (home.is_absolute())
    options.root = home / ".cache" / "lathe";
  else
    options.root = "/tmp/lathe-" + std::to_string(geteuid());
  options.privateRoot = directory.empty() && !base.is_absolute() && !home.is_absolute();
  options.layers = layersFromEnvironment();
  std::string bytes = environment("LATHE_CACHE_MAX_BYTES");
  try {
    if (!bytes.empty())
      options.maxBytes = parseBytes(bytes);
  } catch (const std::invalid_argument& error) {
    logOnce(LogLevel::warn, "LATHE_CACHE_MAX_BYTES=" + bytes,
            std::string("LATHE_CACHE_MAX_BYTES: ") + error.what() + "; using 2G");
  }
  return options;
}

}  // namespace lathe
