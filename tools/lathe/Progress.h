// How far a long command is: a bar where stderr is a terminal, otherwise a line now and then.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>

namespace lathe::tool {

class Progress {
public:
  Progress(std::ostream& out, bool isTerminal) : out(out), isTerminal(isTerminal) {}
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` of a step.
  void show(const std::string& step, int done, int total);

  /// Removes the bar, so that other lines can follow.
  void finish();

private:
  using Clock = std::chrono::steady_clock;

  std::ostream& out;
  bool isTerminal;
  bool isShown = false;
  std::string step;
  int tenths = -1;  ///< Of the step, at the last line that was printed.
  Clock::time_point begin = Clock::now();
};

/// On stderr.
bool isProgressTerminal();

}  // namespace lathe::tool
