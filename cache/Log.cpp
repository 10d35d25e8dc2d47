#include "cache/Log.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>

namespace lathe {

LogLevel logLevel() {
  const char* value = std::getenv("LATHE_LOG");
  std::string_view text = value ? value : "";
  if (text == "quiet")
    return LogLevel::quiet;
  if (text == "info")
    return LogLevel::info;
  return LogLevel::warn;
}

void log(LogLevel level, std::string_view text) {
  if (level == LogLevel::quiet || level > logLevel())
    return;
  // One write a line, so that the lines of several processes do not mix.
  std::string line = level == LogLevel::warn ? "lathe: warning: " : "lathe: info: ";
  line.append(text).push_back('\n');
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void logOnce(LogLevel level, const std::string& key, std::string_view text) {
  // Never destroyed: a thread may still log while the process ends.
  static auto* mutex = new std::mutex;
  static auto* seen = new std::set<std::string>;
  {
    std::lock_guard lock(*mutex);
    if (!seen->insert(key).second)
      return;
  }
  log(level, text);
}

}  // namespace lathe
