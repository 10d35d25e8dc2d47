// How the general form cuts a token program into sweeps, loops and stages.
#include "compiler/cuda/GraphSchedule.h"
#include "tests/cuda/Library.h"

namespace lathe::test {
namespace {

using namespace cuda;

struct Loops {
  int loops = 0, phases = 0, barriers = 0;
};

Loops loopsOf(const Schedule& schedule) {
  Loops found;
  for (const auto& level : schedule.levels)
    for (const cuda::Stage& stage : level)
      if (stage.isLoop) {
        ++found.loops;
        found.phases += int(stage.phases.size());
        found.barriers += stage.barrierAfterToken;
      }
  return found;
}

Schedule scheduleOfPlan(const Plan& plan, const std::string& spread) {
  const Graph graph(plan);
  return scheduleOf(Items(graph, sweepsOf(graph).front(), spread));
}

Plan planWith(const std::string& body) {
  return planOf("variant v(K, V) {\n  input q[K], k[K], v[V]\n  state S[K, V]\n" + body + "}\n",
                "v");
}

TEST(Graph, WritesRecurrencesOutInMapsAndContractions) {
  const Plan plan = libraryPlan("gated_delta_net");
  const Graph graph(plan);
  int contractions = 0;
  for (const Value& value : graph.values) {
    EXPECT_NE(value.kind, Node::Kind::affine);
    contractions += value.kind == Node::Kind::contract;
  }
  EXPECT_EQ(contractions, 2) << "one for the rank-1 term, one for the output";
  ASSERT_EQ(graph.carried.size(), 1u);
  EXPECT_EQ(graph.carrierOf(graph.carried.begin()->second), graph.carried.begin()->first);
}

TEST(Graph, EqualValuesAreOne) {
  const Plan plan = libraryPlan("gsa");
  const Graph graph(plan);
  for (std::size_t i = 0; i < graph.values.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_FALSE(graph.values[i] == graph.values[j]) << i << " " << j;
}

TEST(Graph, StatesOfTwoDirectionsTakeTwoSweeps) {
  const Plan plan = libraryPlan("vig");
  const Graph graph(plan);
  const std::vector<GraphSweep> sweeps = sweepsOf(graph);
  ASSERT_EQ(sweeps.size(), 2u);
  EXPECT_FALSE(sweeps[0].reverse);
  EXPECT_TRUE(sweeps[1].reverse);
  EXPECT_TRUE(sweeps[0].outputs.empty());
  EXPECT_EQ(sweeps[1].outputs.size(), 1u);
  ASSERT_EQ(sweeps[0].kept.size(), 1u);
  EXPECT_EQ(sweeps[0].kept, sweeps[1].given);
  EXPECT_EQ(graph.values[*sweeps[0].kept.begin()].dims, Dims{"V"}) << "the read-out, no state";
}

TEST(Graph, APipelineOfStatesHasALoopForEachAndNoBarrierWithin) {
  const Loops found = loopsOf(scheduleOfPlan(libraryPlan("gsa"), "V"));
  EXPECT_EQ(found.loops, 2);
  EXPECT_EQ(found.phases, 2);
  EXPECT_EQ(found.barriers, 0);
}

TEST(Graph, WhatFeedsItsOwnStateTakesPhases) {
  Loops found =
      loopsOf(scheduleOfPlan(planWith("  S <- S + k * (v - k @ S)\n  output o[V] = q @ S\n"), "V"));
  EXPECT_EQ(found.loops, 1);
  EXPECT_EQ(found.phases, 2) << "k @ S, then the state and q @ S";
  EXPECT_EQ(found.barriers, 1);
  found =
      loopsOf(scheduleOfPlan(planWith("  S <- S + k * v\n  output o[V] = rmsnorm(q @ S)\n"), ""));
  EXPECT_EQ(found.phases, 1) << "the norm follows for all tokens at once";
  EXPECT_EQ(found.barriers, 0);
}

TEST(Graph, SumsOverColumnsGoThroughMemory) {
  const Plan plan = planWith("  S <- S + k * v\n  output o[V] = q @ S\n  output p[K] = S @ v\n");
  const Graph graph(plan);
  const std::vector<GraphSweep> sweeps = sweepsOf(graph);
  const Items items(graph, sweeps.front(), "");
  int partial = 0, whole = 0;
  for (const Item& item : items.items) {
    partial += item.what == Item::What::partial;
    whole += item.what == Item::What::whole;
  }
  EXPECT_EQ(partial, 1);
  EXPECT_EQ(whole, 1);
}

TEST(Graph, RefusesWhatNeedsElementsOfOtherThreads) {
  const Plan plan = planOf("variant v(K, M, V) {\n  input q[K], k[K], m[M], v[V]\n"
                           "  state A[K, M], B[M, V]\n  A <- A + k * m\n  B <- B + m * v\n"
                           "  output o[V] = q @ (A @ B)\n}\n",
                           "v");
  Signature signature = signatureOf(plan, 32, 32);
  signature.dims["M"] = 32;
  try {
    emit(plan, Family::step, signature, {0, 4, 32, 1, 8, 4, Form::general});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "variant 'v': the general form keeps each element of the state A in one thread, "
                 "and here a value is made of elements of several");
  }
}

/// All that the library holds, on every architecture and for every dtype.
TEST(Graph, EveryVariantOfTheLibraryHasKernels) {
  for (const std::string& name : libraryNames()) {
    const Plan plan = libraryPlan(name);
    for (int size : {16, 60, 128}) {
      const Signature signature = librarySignature(plan, size);
      for (const char* arch : {"sm_80", "sm_86", "sm_90a"})
        for (Family family : {Family::step, Family::sequential}) {
          const Candidates found = candidates(plan, family, signature, knownDevice(arch), 64);
          for (const Tile& tile : found.tiles)
            EXPECT_LE(emit(plan, family, signature, tile).sharedBytes,
                      knownDevice(arch).sharedPerBlock)
                << name << " " << arch << " " << toString(tile);
        }
    }
  }
}

}  // namespace
}  // namespace lathe::test
