#include "tools/lathe/Report.h"

#include "tools/lathe/Number.h"

#include <algorithm>
#include <map>
#include <ostream>

namespace lathe::tool {

void Table::print(std::ostream& out) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      const bool isNumber = !row[i].empty() && row[i][0] >= '0' && row[i][0] <= '9';
      line += (i > 0 ? "  " : "") + (isNumber ? space + row[i] : row[i] + space);
    }
    out << "  " << line.substr(0, line.find_last_not_of(' ') + 1) << "\n";
  }
}

void printTrials(std::ostream& out, const TuningResult& result) {
  std::vector<const Trial*> timed, others;
  std::map<std::string, int> pruned;
  for (const Trial& trial : result.trials) {
    if (trial.outcome == Trial::Outcome::pruned)
      ++pruned[trial.reason];
    else
      (trial.microseconds > 0 ? timed : others).push_back(&trial);
  }
  std::stable_sort(timed.begin(), timed.end(), [](const Trial* a, const Trial* b) {
    return a->microseconds < b->microseconds;
  });
  timed.insert(timed.end(), others.begin(), others.end());
  Table table({"tile", "outcome", "us", "+-", "error", "reason"});
  for (const Trial* trial : timed) {
    const bool isTimed = trial->microseconds > 0;
    char error[32] = "";
    if (trial->error > 0)
      std::snprintf(error, sizeof error, "%.1e", trial->error);
    table.add({toString(trial->tile), name(trial->outcome),
               isTimed ? fixedText(trial->microseconds, 1) : "",
               isTimed ? fixedText(trial->mad, 1) : "", error, trial->reason});
  }
  table.print(out);
  for (const auto& [reason, count] : pruned)
    out << "  pruned " << count << ": " << reason << "\n";
}

}  // namespace lathe::tool
