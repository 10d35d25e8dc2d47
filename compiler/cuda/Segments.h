// Sequences in segments that run at the same time: how many, and what they need of the workspace.
//
// A workspace begins with `workspaceHead` bytes of counters, which must be zero before its first
// use; every launch leaves them zero, so that launches that follow each other on a stream may share
// one, whatever their kernels. Behind them each block has a room (templates/kernels/segments.cuh).
#pragma once

#include "compiler/cuda/Kernel.h"

namespace lathe {

inline constexpr int maxSegments = 64;
inline constexpr std::size_t workspaceHead = 65536;
inline constexpr std::size_t workspaceAlignment = 256;
/// Counters in the head: of a launch with several segments, its blocks.
inline constexpr std::int64_t maxSegmentBlocks = workspaceHead / sizeof(std::uint32_t);

/// What a block passes on through the workspace: the elements of its state in bf16, the decay, and
/// a vector in fp32 (a normaliser).
constexpr std::size_t segmentRoom(int stateElements, int vectorElements) {
  return 2 * std::size_t(stateElements) + 128 + 4 * std::size_t(vectorElements);
}

/// How long a launch takes in units of the time in which a block walks a chunk: its waves of
/// blocks, each the longest segment's sweep and walk and the join before it. `heads`: blocks of one
/// segment.
double segmentedTime(std::int64_t heads, std::int64_t chunks, int segments, int multiprocessors);

/// Segments of a launch whose sequences have `tokens` tokens: those of the least `segmentedTime`,
/// as many as fill whole waves of multiprocessors; with `most`, that many. At most one a chunk.
int segmentsFor(const Segmenting& segmenting, std::int64_t heads, std::int64_t tokens,
                int multiprocessors);

/// Bytes that a launch needs; 0 with one segment.
std::size_t workspaceBytes(const Segmenting& segmenting, std::int64_t heads, int segments);

}  // namespace lathe
