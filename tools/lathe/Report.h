// Tables on a terminal.
#pragma once

#include "tuner/Tuner.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace lathe::tool {

/// Columns as wide as their widest cell; a cell that begins with a digit is set to the right.
class Table {
public:
  explicit Table(std::vector<std::string> header) : rows{std::move(header)} {}
  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }
  void print(std::ostream& out) const;

private:
  std::vector<std::vector<std::string>> rows;
};

/// What became of each candidate, the fastest first; the pruned ones by their reasons.
void printTrials(std::ostream& out, const TuningResult& result);

}  // namespace lathe::tool
