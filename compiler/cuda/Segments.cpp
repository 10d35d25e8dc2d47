#include "compiler/cuda/Segments.h"

#include <algorithm>

namespace lathe {

// Of the time in which a block walks a chunk: of a sweep's chunk, and of a join with so many
// others. Measured on an H200 at K = V = 128.
static constexpr double sweep = 0.5, joinStart = 2, joinSegment = 0.2;

double segmentedTime(std::int64_t heads, std::int64_t chunks, int segments, int multiprocessors) {
  const std::int64_t waves = (heads * segments + multiprocessors - 1) / multiprocessors;
  if (segments == 1)
    return double(waves) * double(chunks);
  const std::int64_t longest = (chunks + segments - 1) / segments;
  return double(waves) * ((1 + sweep) * double(longest) + joinStart + joinSegment * segments);
}

/// How many of a sequence's segments sweep, as many others walking, so that together they take
/// least; 0: one block does both.
static int sweepersFor(std::int64_t heads, std::int64_t chunks, std::int64_t limit,
                       int multiprocessors) {
  const auto waves = [&](std::int64_t blocks) {
    const std::int64_t whole = (blocks + multiprocessors - 1) / multiprocessors;
    return double(whole);
  };
  int best = 0;
  double least = waves(heads) * double(chunks);
  constexpr int mostWaves = 4;
  for (int each = 1; each <= mostWaves; ++each) {
    const std::int64_t parts = std::min(limit, std::int64_t(each) * multiprocessors / heads);
    if (parts <= best)
      continue;
    const std::int64_t longest = (chunks + parts - 1) / parts;
    const double time =
        waves(heads * parts) * double(longest) + joinStart + joinSegment * double(parts);
    if (time < least) {
      least = time;
      best = int(parts);
    }
  }
  return best;
}

int segmentsFor(const Segmenting& segmenting, std::int64_t heads, std::int64_t tokens,
                int multiprocessors) {
  if (segmenting.chunk == 0 || heads == 0)
    return 1;
  if (segmenting.isPair) {
    // Beside the counters of both scans' blocks there is one for each head, or for several.
    Segmenting one = segmenting;
    one.isPair = false;
    const std::int64_t most = (maxSegmentBlocks / heads - 1) / 2;
    const int each = segmentsFor(one, heads, tokens, multiprocessors);
    return 2 * int(std::max<std::int64_t>(1, std::min<std::int64_t>(each, most)));
  }
  std::int64_t chunks = (tokens + segmenting.chunk - 1) / segmenting.chunk;
  std::int64_t limit = std::min({std::int64_t(maxSegments), chunks, maxSegmentBlocks / heads});
  if (segmenting.isSum) {
    limit = std::min(limit, maxSegmentBlocks / heads / 2);
    const int sweepers = segmenting.most == 1  ? 0
                         : segmenting.most > 0 ? int(std::min<std::int64_t>(limit, segmenting.most))
                                               : sweepersFor(heads, chunks, limit, multiprocessors);
    return std::max(1, 2 * sweepers);
  }
  if (segmenting.most > 0)
    return int(std::max<std::int64_t>(1, std::min<std::int64_t>(limit, segmenting.most)));
  constexpr int mostWaves = 4;
  int best = 1;
  double least = segmentedTime(heads, chunks, 1, multiprocessors);
  for (int waves = 1; waves <= mostWaves; ++waves) {
    std::int64_t segments = std::min(limit, std::int64_t(waves) * multiprocessors / heads);
    if (segments <= best)
      continue;
    double time = segmentedTime(heads, chunks, int(segments), multiprocessors);
    if (time < least) {
      least = time;
      best = int(segments);
    }
  }
  return best;
}

std::size_t workspaceBytes(const Segmenting& segmenting, std::int64_t heads, int segments) {
  if (segments <= 1)
    return 0;
  return workspaceHead + std::size_t(heads) * segments * segmenting.roomBytes;
}

}  // namespace lathe
