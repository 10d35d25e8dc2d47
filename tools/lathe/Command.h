// The subcommands of `lathe`, one file each. Adding one declares its options; what it does is run
// after all arguments were read.
#pragma once

#include "runtime/Error.h"

#include <CLI/CLI.hpp>
#include <functional>

namespace lathe::tool {

/// What a subcommand does: returns the exit code.
using Action = std::function<int()>;

inline constexpr int exitFailed = 1;  ///< The spec, the data or the machine.
inline constexpr int exitUsage = 2;   ///< The command line.

/// A command line that cannot be meant: ends with exitUsage.
class UsageError : public Error {
public:
  using Error::Error;
};

/// Something that was printed already: ends with exitFailed and says no more.
class Reported : public std::exception {};

/// A subcommand whose help ends in examples.
CLI::App* addCommand(CLI::App& app, const std::string& name, const std::string& summary,
                     const std::string& examples);

void addCheck(CLI::App& app, Action& action);
void addExplain(CLI::App& app, Action& action);
void addEmit(CLI::App& app, Action& action);
void addRun(CLI::App& app, Action& action);
void addTune(CLI::App& app, Action& action);
void addBench(CLI::App& app, Action& action);
void addCache(CLI::App& app, Action& action);

}  // namespace lathe::tool
