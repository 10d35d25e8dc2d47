#include "compiler/spec/Names.h"

#include <algorithm>
#include <array>

namespace lathe::spec {

namespace {

/// Longer words are not compared: nobody mistypes them, and the table would grow with the text.
constexpr size_t maxCompared = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equalButCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

int editDistance(std::string_view from, std::string_view to) {
  // Rows i - 2, i - 1 and i of the table, in turn.
  std::array<std::vector<int>, 3> rows;
  rows.fill(std::vector<int>(to.size() + 1));
  for (size_t j = 0; j <= to.size(); ++j)
    rows[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= from.size(); ++i) {
    std::vector<int>& row = rows[i % 3];
    const std::vector<int>& above = rows[(i + 2) % 3];
    const std::vector<int>& twoAbove = rows[(i + 1) % 3];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= to.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (from[i - 1] != to[j - 1])});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
        row[j] = std::min(row[j], twoAbove[j - 2] + 1);
    }
  }
  return rows[from.size() % 3][to.size()];
}

std::optional<std::string_view> closestName(std::string_view name,
                                            const std::vector<std::string_view>& candidates) {
  std::optional<std::string_view> best;
  int bestDistance = static_cast<int>(name.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    if (equalButCase(name, candidate))
      return candidate;
    const size_t longer = std::max(name.size(), candidate.size());
    const size_t shorter = std::min(name.size(), candidate.size());
    if (longer > maxCompared || longer - shorter >= static_cast<size_t>(bestDistance))
      continue;
    if (const int distance = editDistance(name, candidate); distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

}  // namespace lathe::spec
