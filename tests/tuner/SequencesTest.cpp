#include "tuner/Sequences.h"

#include "tests/tuner/Support.h"

namespace lathe {
namespace {

using test::retentionPlan;
using test::signatureOf;
using Shapes = std::vector<std::int64_t>;

const Plan plan = retentionPlan();
const Signature signature = signatureOf(plan, DType::f32, 2, 2);

/// Outputs twice the values, final states 1 more than the initial ones, or 1 without any.
HostResult runAlone(const HostCall& call) {
  EXPECT_TRUE(call.cuSeqlens.empty());
  EXPECT_TRUE(call.slots.empty());
  HostResult result;
  result.outputs["o"] = call.tensors.at("v");
  for (double& x : result.outputs["o"].data)
    x *= 2;
  const std::int64_t heads = call.tensors.at("v").shape[2];
  HostTensor state{{1, heads, 2, 2}, std::vector<double>(heads * 4)};
  if (const auto initial = call.initial.find("S"); initial != call.initial.end())
    state = initial->second;
  for (double& x : state.data)
    x += 1;
  result.states["S"] = state;
  return result;
}

TEST(Sequences, ACallWithoutListsGoesAsItIs) {
  const Shape shape{3, 4, 2};
  const HostCall call = draw(plan, signature, shape, {});
  const HostResult result = runSequences(plan, signature.dims, shape, call, runAlone);
  EXPECT_EQ(result.outputs.at("o").shape, (Shapes{3, 4, 2, 2}));
  EXPECT_EQ(result.states.at("S").shape, (Shapes{3, 2, 2, 2}));
}

TEST(Sequences, PackedOnes) {
  const Shape shape{1, 12, 2};
  const HostCall call = draw(plan, signature, shape, {.cuSeqlens = {1, 4, 4, 10}});
  const HostCall last = callOf(plan, call, sequenceAt(call, shape, 2));
  EXPECT_EQ(last.tensors.at("q").shape, (Shapes{1, 6, 2, 2}));
  EXPECT_EQ(last.tensors.at("q").data[0], call.tensors.at("q").data[16]);
  EXPECT_EQ(last.tensors.at("gamma").data, call.tensors.at("gamma").data);
  EXPECT_EQ(last.initial.at("S").shape, (Shapes{1, 2, 2, 2}));
  EXPECT_EQ(last.initial.at("S").data[0], call.initial.at("S").data[16]);
  EXPECT_EQ(callOf(plan, call, sequenceAt(call, shape, 1)).tensors.at("v").data.size(), 0U);

  const HostResult result = runSequences(plan, signature.dims, shape, call, runAlone);
  const std::vector<double>&o = result.outputs.at("o").data, &v = call.tensors.at("v").data;
  for (std::size_t i = 0; i < o.size(); ++i)
    EXPECT_EQ(o[i], i / 4 >= 1 && i / 4 < 10 ? 2 * v[i] : 0) << i;
  for (std::size_t i = 0; i < 24; ++i)
    EXPECT_EQ(result.states.at("S").data[i], 1 + call.initial.at("S").data[i]);
  const HostResult own = resultOf(result, sequenceAt(call, shape, 2));
  EXPECT_EQ(own.outputs.at("o").shape, (Shapes{1, 6, 2, 2}));
  EXPECT_EQ(own.outputs.at("o").data[0], 2 * v[16]);
  EXPECT_EQ(own.states.at("S").data[0], 1 + call.initial.at("S").data[16]);
}

TEST(Sequences, OfAPool) {
  const Shape shape{3, 2, 1};
  const HostCall call = draw(plan, signature, shape, {.slots = {4, -1, 0}, .pool = 5});
  const HostResult result = runSequences(plan, signature.dims, shape, call, runAlone);
  const std::vector<double>&found = result.states.at("S").data,
        &initial = call.initial.at("S").data;
  ASSERT_EQ(found.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(found[i], i / 4 == 0 || i / 4 == 4 ? 1 + initial[i] : 0) << i;
  EXPECT_EQ(result.outputs.at("o").data[4], 2 * call.tensors.at("v").data[4]);
  const HostSequence padding = sequenceAt(call, shape, 1);
  EXPECT_TRUE(callOf(plan, call, padding).initial.empty());
  EXPECT_TRUE(resultOf(result, padding).states.empty());
}

TEST(Sequences, NoneAtAll) {
  const Shape shape{1, 3, 2};
  const HostCall call = draw(plan, signature, shape, {.cuSeqlens = {2}});
  const HostResult result = runSequences(plan, signature.dims, shape, call, runAlone);
  EXPECT_EQ(result.outputs.at("o").data, std::vector<double>(12));
  EXPECT_EQ(result.states.at("S").shape, (Shapes{0, 2, 2, 2}));
}

}  // namespace
}  // namespace lathe
