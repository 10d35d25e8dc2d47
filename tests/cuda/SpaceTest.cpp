// The candidates of a plan and the model that orders them.
#include "tests/cuda/Library.h"

#include <algorithm>

namespace lathe::test {
namespace {

TEST(Space, UnknownArchitectureNamesTheKnownOnes) {
  try {
    knownDevice("sm_75");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(
        error.what(),
        "architecture 'sm_75' is not known; known are sm_80, sm_86, sm_89, sm_90a, sm_100, sm_120");
  }
}

TEST(Space, EveryCandidateFitsItsDevice) {
  for (const std::string& name : kVariants) {
    Plan plan = libraryPlan(name);
    for (const char* arch : {"sm_80", "sm_86", "sm_90a"})
      for (int size : {16, 60, 128, 256})
        for (DType dtype : {DType::bf16, DType::f32})
          for (Family family : {Family::scan, Family::step, Family::sequential}) {
            if (family == Family::scan && !plan.scan)
              continue;
            Signature signature = signatureOf(plan, size, size, dtype);
            Device device = knownDevice(arch);
            Candidates found = candidates(plan, family, signature, device, 64);
            ASSERT_FALSE(found.tiles.empty());
            for (const Tile& tile : found.tiles)
              EXPECT_LE(emit(plan, family, signature, tile).sharedBytes, device.sharedPerBlock)
                  << name << " " << arch << " " << toString(tile);
            for (const Pruned& pruned : found.pruned)
              EXPECT_FALSE(pruned.reason.empty());
          }
  }
}

TEST(Space, PrunedTilesSayWhatDoesNotFit) {
  Plan plan = libraryPlan("gla");
  Candidates found = candidates(plan, Family::scan, signatureOf(plan, 256, 256, DType::f32),
                                knownDevice("sm_86"), 64);
  ASSERT_FALSE(found.pruned.empty());
  EXPECT_NE(found.pruned.front().reason.find("bytes of shared memory, sm_86 has 101376"),
            std::string::npos)
      << found.pruned.front().reason;
}

TEST(Space, OrderIsTheSameEveryTime) {
  Plan plan = libraryPlan("retnet");
  Signature signature = signatureOf(plan, 128, 128);
  auto first = candidates(plan, Family::scan, signature, knownDevice("sm_90a"), 128);
  auto second = candidates(plan, Family::scan, signature, knownDevice("sm_90a"), 128);
  EXPECT_EQ(first.tiles, second.tiles);
}

TEST(Space, OnlyHopperHasItsForm) {
  Plan plan = libraryPlan("retnet");
  auto hopper = [&](const char* arch) {
    auto all = candidates(plan, Family::scan, signatureOf(plan, 128, 128), knownDevice(arch), 128);
    return std::count_if(all.tiles.begin(), all.tiles.end(),
                         [](const Tile& tile) { return tile.form == Form::sm90a; });
  };
  EXPECT_EQ(hopper("sm_90a"), (2 * 2 + 1) * 7) << "blockV and stages, or a chunk of 128; segments";
  for (const char* arch : {"sm_80", "sm_89", "sm_100", "sm_120"})
    EXPECT_EQ(hopper(arch), 0) << arch;
}

/// On an H200 chunks of 128 lost by 1 to 6 %, with a normaliser by 32 %.
TEST(Space, HopperUpdatesItsStateEvery64Tokens) {
  for (const char* name : {"retnet", "simple_gla", "linear_attention"}) {
    Plan plan = libraryPlan(name);
    for (long long batchHeads : {16, 128, 1024}) {
      const auto tiles = candidates(plan, Family::scan, signatureOf(plan, 128, 128),
                                    knownDevice("sm_90a"), batchHeads)
                             .tiles;
      EXPECT_EQ(tiles.front().chunk, 64) << name << " " << batchHeads;
      EXPECT_TRUE(std::any_of(tiles.begin(), tiles.end(), [](const Tile& tile) {
        return tile.chunk == 128;
      })) << name;
    }
  }
}

TEST(Space, HopperTakesItsFormByDefault) {
  for (const char* name : {"retnet", "simple_gla", "mamba2", "gla"}) {
    Plan plan = libraryPlan(name);
    for (long long batchHeads : {16, 128, 1024})
      EXPECT_EQ(candidates(plan, Family::scan, signatureOf(plan, 128, 128), knownDevice("sm_90a"),
                           batchHeads)
                    .tiles.front()
                    .form,
                Form::sm90a)
          << name << " " << batchHeads;
  }
}

/// Every block of a head reads the normaliser, so a step that one block runs alone comes first.
TEST(Space, StepsCanUpdateTheirStatesInPlace) {
  for (const std::string& name : kVariants) {
    Plan plan = libraryPlan(name);
    for (int size : {16, 64, 100, 128}) {
      Signature signature = signatureOf(plan, size, size);
      for (const Tile& tile :
           candidates(plan, Family::step, signature, knownDevice("sm_90a"), 64).tiles)
        EXPECT_TRUE(emit(plan, Family::step, signature, tile).sharedStates.empty())
            << name << " " << size << " " << toString(tile);
    }
  }
}

/// With few heads a kernel without segments must fill the GPU: narrower blocks than with many.
TEST(Space, FewHeadsTakeNarrowerBlocks) {
  Plan plan = libraryPlan("retnet");
  Signature signature = signatureOf(plan, 128, 128);
  int few =
      candidates(plan, Family::scan, signature, knownDevice("sm_80"), 16).tiles.front().blockV;
  int many =
      candidates(plan, Family::scan, signature, knownDevice("sm_80"), 108).tiles.front().blockV;
  EXPECT_LT(few, many);
}

/// On Hopper segments do, as many as the launch chooses.
TEST(Space, FewHeadsTakeSegments) {
  Plan plan = libraryPlan("retnet");
  Signature signature = signatureOf(plan, 128, 128);
  for (long long heads : {16, 132, 144}) {
    Tile tile = candidates(plan, Family::scan, signature, knownDevice("sm_90a"), heads).tiles[0];
    EXPECT_EQ(tile.blockV, 128) << heads;
    EXPECT_EQ(tile.segments, 0) << heads;
  }
}

TEST(Space, HeadsThatShareKeysArePaired) {
  Plan plan = libraryPlan("mamba2");
  Signature signature = signatureOf(plan, 128, 64);
  EXPECT_EQ(candidates(plan, Family::scan, signature, knownDevice("sm_90a"), 256).tiles[0].blockV,
            64);
  signature.pairedHeads = true;
  Tile tile = candidates(plan, Family::scan, signature, knownDevice("sm_90a"), 256).tiles[0];
  EXPECT_EQ(tile.blockV, 128);
  KernelSource kernel = emit(plan, Family::scan, signature, tile);
  EXPECT_EQ(kernel.headsOfBlock, 2);
  EXPECT_EQ(kernel.tilesPerHead, 1);
  signature.pairedHeads = false;
  try {
    emit(plan, Family::scan, signature, tile);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what())
                  .find("a block of two heads takes heads that share queries and keys in pairs"),
              std::string::npos)
        << error.what();
  }
}

/// A step of many heads is bound by memory, which whole lines of a row serve best; one of few heads
/// is spread over more multiprocessors.
TEST(Space, StepsOfManyHeadsReadWholeLines) {
  Plan plan = libraryPlan("gated_delta_net");
  Signature signature = signatureOf(plan, 128, 128);
  Device device = knownDevice("sm_90a");
  EXPECT_EQ(candidates(plan, Family::step, signature, device, 2048).tiles.front().blockV, 32);
  EXPECT_EQ(candidates(plan, Family::step, signature, device, 32).tiles.front().blockV, 16);
}

}  // namespace
}  // namespace lathe::test
