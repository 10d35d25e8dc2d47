// The one place that the library writes to: lines on stderr, as many as LATHE_LOG=quiet|warn|info
// allows (default warn).
#pragma once

#include <string>
#include <string_view>

namespace lathe {

enum class LogLevel { quiet, warn, info };

/// What LATHE_LOG says now.
LogLevel logLevel();

/// Writes "lathe: <level>: <text>" to stderr if LATHE_LOG lets this level through.
void log(LogLevel level, std::string_view text);

/// As `log`, once a process for each `key`, so that a full disk says so once and not at every
/// kernel.
void logOnce(LogLevel level, const std::string& key, std::string_view text);

}  // namespace lathe
