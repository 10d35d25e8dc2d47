// A loop over the cores of the machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace lathe {

/// Calls body(begin, end) for pieces of [0, count), each of at least `grain` (the last may be
/// less) and beginning at a multiple of it. What it does must not depend on the pieces, nor throw.
template <typename Body>
void parallelFor(std::int64_t count, std::int64_t grain, const Body& body) {
  std::int64_t grains = (count + grain - 1) / grain;
  std::int64_t pieces =
      std::min<std::int64_t>(grains, std::max(1u, std::thread::hardware_concurrency()));
  if (pieces <= 1) {
    if (count > 0)
      body(std::int64_t(0), count);
    return;
  }
  auto at = [&](std::int64_t piece) { return std::min(count, grains * piece / pieces * grain); };
  std::vector<std::thread> others;
  for (std::int64_t piece = 1; piece < pieces; ++piece)
    others.emplace_back([&, piece] { body(at(piece), at(piece + 1)); });
  body(std::int64_t(0), at(1));
  for (std::thread& other : others)
    other.join();
}

}  // namespace lathe
