#include "compiler/cuda/Segments.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

constexpr int multiprocessors = 132;
constexpr Segmenting byLaunch{64, 0, 32896};

int segments(std::int64_t heads, std::int64_t tokens, Segmenting how = byLaunch) {
  return segmentsFor(how, heads, tokens, multiprocessors);
}

TEST(Segments, FewHeadsFillTheMultiprocessorsOnce) {
  EXPECT_EQ(segments(16, 8192), 8);
  EXPECT_EQ(segments(8, 131072), 16);
  EXPECT_EQ(segments(32, 131072), 4);
  EXPECT_EQ(segments(2, 1 << 20), maxSegments);
}

TEST(Segments, ManyHeadsNeedNone) {
  EXPECT_EQ(segments(128, 4096), 1);
  EXPECT_EQ(segments(132, 1 << 20), 1);
  EXPECT_EQ(segments(100, 1 << 20), 1);
}

/// A sweep costs as much as an uneven last wave of two.
TEST(Segments, WavesMayBeUneven) {
  EXPECT_EQ(segments(144, 1 << 17), 1);
  EXPECT_EQ(segments(90, 1 << 17), 1);
  EXPECT_EQ(segments(45, 4096), 5) << "two waves";
  EXPECT_EQ(segments(45, 1 << 17), 11) << "four waves that are nearly full";
}

TEST(Segments, HaveAtLeastAChunkEach) {
  EXPECT_EQ(segments(16, 64), 1);
  EXPECT_EQ(segments(16, 0), 1);
  EXPECT_EQ(segments(0, 8192), 1);
  EXPECT_EQ(segments(1, 300, {64, 32, 32896}), 5);
}

TEST(Segments, ShortSequencesAreNotWorthAJoin) { EXPECT_EQ(segments(16, 128), 1); }

TEST(Segments, ANumberOfTheTileIsTaken) {
  EXPECT_EQ(segments(16, 8192, {64, 4, 32896}), 4);
  EXPECT_EQ(segments(512, 8192, {64, 3, 32896}), 3);
  EXPECT_EQ(segments(16, 8192, {64, 1, 32896}), 1);
}

TEST(Segments, BlocksHaveACounterEach) {
  EXPECT_EQ(segments(maxSegmentBlocks / 2, 1 << 20, {64, 16, 32896}), 2);
  EXPECT_EQ(segments(maxSegmentBlocks * 2, 1 << 20, {64, 16, 32896}), 1);
}

/// The first half sweeps, the other walks; with many heads one block does both.
TEST(Segments, OfASumAreHalves) {
  constexpr Segmenting sum{64, 0, 32896, true};
  EXPECT_EQ(segments(16, 8192, sum), 16);
  EXPECT_EQ(segments(128, 4096, sum), 1);
  EXPECT_EQ(segments(16, 64, sum), 1);
  EXPECT_EQ(segments(16, 0, sum), 1);
  EXPECT_EQ(segments(16, 8192, {64, 1, 32896, true}), 1);
  EXPECT_EQ(segments(16, 8192, {64, 3, 32896, true}), 6);
  EXPECT_EQ(segments(maxSegmentBlocks / 2, 1 << 20, {64, 16, 32896, true}), 2);
  EXPECT_EQ(segments(maxSegmentBlocks, 1 << 20, {64, 16, 32896, true}), 1);
}

/// As many for each direction; beside their blocks' counters there is one for each head.
TEST(Segments, OfAPairAreThoseOfBoth) {
  constexpr Segmenting pair{64, 0, 32896, false, true};
  EXPECT_EQ(segments(16, 8192, pair), 16);
  EXPECT_EQ(segments(128, 4096, pair), 2);
  EXPECT_EQ(segments(16, 64, pair), 2);
  EXPECT_EQ(segments(16, 0, pair), 2);
  EXPECT_EQ(segments(16, 8192, {64, 3, 32896, false, true}), 6);
  EXPECT_EQ(segments(maxSegmentBlocks / 8, 1 << 20, {64, 16, 32896, false, true}), 6);
  EXPECT_EQ(segments(maxSegmentBlocks * 2, 1 << 20, {64, 16, 32896, false, true}), 2);
}

TEST(Segments, KernelsWithoutHaveOne) { EXPECT_EQ(segments(16, 8192, {}), 1); }

TEST(Segments, WorkspaceIsAHeadAndARoomForEachBlock) {
  EXPECT_EQ(workspaceBytes(byLaunch, 16, 1), 0u);
  EXPECT_EQ(workspaceBytes(byLaunch, 16, 8), 65536u + 16 * 8 * 32896);
  EXPECT_EQ(segmentRoom(128 * 128, 0), 32896u);
}

TEST(Segments, MoreOfThemTakeLessTimeUntilAWaveIsFull) {
  double before = segmentedTime(16, 128, 1, multiprocessors);
  for (int count : {2, 4, 8}) {
    double time = segmentedTime(16, 128, count, multiprocessors);
    EXPECT_LT(time, before);
    before = time;
  }
  EXPECT_GT(segmentedTime(16, 128, 9, multiprocessors), before);
}

}  // namespace
}  // namespace lathe
