#include "tools/lathe/Tensors.h"

#include "tests/tools/Support.h"
#include "tuner/Oracle.h"

namespace lathe::tool {
namespace {

Array filled(std::vector<std::int64_t> shape) {
  Array array{std::move(shape), {}, "<f4"};
  std::int64_t count = 1;
  for (std::int64_t size : array.shape)
    count *= size;
  for (std::int64_t i = 0; i < count; ++i)
    array.data.push_back(double(i));
  return array;
}

TEST(Tensors, SizesAreReadOffTheShapes) {
  const Plan plan = libraryVariant("mamba2").plan;
  const Arrays arrays = {{"B", filled({2, 5, 1, 3})}, {"C", filled({2, 5, 2, 3})},
                         {"x", filled({2, 5, 4, 7})}, {"dt", filled({2, 5, 4})},
                         {"A_log", filled({4})},      {"dt_bias", filled({4})},
                         {"D", filled({4})}};
  const FileCall call = callOf(plan, arrays, Layout::bthd);
  EXPECT_EQ(call.shape.batch, 2);
  EXPECT_EQ(call.shape.tokens, 5);
  EXPECT_EQ(call.shape.heads, 4);
  EXPECT_EQ(call.dims, (std::map<std::string, int>{{"K", 3}, {"V", 7}}));
  EXPECT_FALSE(call.isHalf);
  EXPECT_TRUE(call.host.initial.empty());
}

TEST(Tensors, PrecisionIsThatOfEveryInput) {
  const Plan plan = libraryVariant("retnet").plan;
  const auto callWith = [&](const std::string& q, const std::string& rest) {
    Arrays arrays = {{"q", filled({1, 2, 3, 2})},
                     {"k", filled({1, 2, 3, 2})},
                     {"v", filled({1, 2, 3, 2})},
                     {"gamma", filled({3})}};
    for (const char* name : {"k", "v"})
      arrays[name].descr = rest;
    arrays["q"].descr = q;
    return callOf(plan, arrays, Layout::bthd);
  };
  EXPECT_TRUE(callWith("<f8", "<f8").isDouble);
  EXPECT_TRUE(callWith("<f2", "<f2").isHalf);
  EXPECT_FALSE(callWith("<f4", "<f8").isDouble);
  EXPECT_FALSE(callWith("<f8", "<f4").isDouble);
  EXPECT_FALSE(callWith("<f2", "<f8").isHalf);
}

TEST(Tensors, HeadsFirstThereAndBack) {
  const Plan plan = libraryVariant("retnet").plan;
  const Arrays arrays = {{"q", filled({1, 2, 3, 2})},
                         {"k", filled({1, 2, 3, 2})},
                         {"v", filled({1, 2, 3, 2})},
                         {"gamma", filled({2})}};
  const FileCall call = callOf(plan, arrays, Layout::bhtd);
  EXPECT_EQ(call.shape.tokens, 3);
  const HostTensor& q = call.host.tensors.at("q");
  EXPECT_EQ(q.shape, (std::vector<std::int64_t>{1, 3, 2, 2}));
  EXPECT_EQ(q.data, (std::vector<double>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
  HostResult result;
  result.outputs["o"] = q;
  const Array o = arraysOf(result, Layout::bhtd, "<f8").at("o");
  EXPECT_EQ(o.data, arrays.at("q").data);
  EXPECT_EQ(o.descr, "<f8");
}

TEST(Tensors, RoundingIsThatOfTheOperand) {
  const Plan plan = libraryVariant("retnet").plan;
  Signature signature;
  signature.dtypes.assign(plan.operands.size(), DType::bf16);
  HostCall call;
  call.tensors["q"] = {{1}, {1.001}};
  roundTo(plan, signature, call);
  EXPECT_EQ(call.tensors["q"].data[0], 1.0);
}

TEST(Oracle, AnswersAsTheInterpreterDoes) {
  const CompiledVariant variant = libraryVariant("gla");
  Signature signature;
  signature.dims = {{"K", 4}, {"V", 3}};
  signature.dtypes.assign(variant.plan.operands.size(), DType::f32);
  const Shape shape{2, 9, 2};
  const HostCall call = draw(variant.plan, signature, shape, {});
  const HostResult found = oracleOf(variant)(variant.plan, signature, shape, call);
  const HostResult chunked = interpretCall(variant, signature.dims, shape, call, {}, 4);
  EXPECT_LT(errorRatio(found.outputs.at("o"), chunked.outputs.at("o")), 1e-12);
  EXPECT_LT(errorRatio(found.states.at("S"), chunked.states.at("S")), 1e-12);
}

}  // namespace
}  // namespace lathe::tool
