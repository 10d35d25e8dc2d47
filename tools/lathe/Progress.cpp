#include "tools/lathe/Progress.h"

#include <algorithm>
#include <ostream>
#include <unistd.h>

namespace lathe::tool {

void Progress::show(const std::string& now, int done, int total) {
  constexpr int width = 30, columns = 79;
  const int most = std::max(total, 1);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin);
  const std::string count = std::to_string(done) + "/" + std::to_string(total) + " " + now + ", " +
                            std::to_string(seconds.count()) + " s";
  if (isTerminal) {
    const int full = static_cast<int>(static_cast<long long>(width) * std::min(done, most) / most);
    std::string text = "[" + std::string(full, '#') + std::string(width - full, '.') + "] " + count;
    text.resize(columns, ' ');
    out << '\r' << text << std::flush;
    isShown = true;
    return;
  }
  const int part = static_cast<int>(10LL * std::min(done, most) / most);
  if (now != step || part != tenths)
    out << count << std::endl;
  step = now;
  tenths = part;
}

void Progress::finish() {
  if (isShown)
    out << '\r' << std::string(79, ' ') << '\r' << std::flush;
  isShown = false;
}

bool isProgressTerminal() { return isatty(STDERR_FILENO) != 0; }

}  // namespace lathe::tool
