#include "tests/tools/Support.h"
#include "tools/lathe/KernelOptions.h"

namespace lathe::tool {
namespace {

TEST(Options, DimsDefaultTo128) {
  const Plan plan = libraryVariant("mamba2").plan;
  EXPECT_EQ(parseDims("", plan), (std::map<std::string, int>{{"K", 128}, {"V", 128}}));
  EXPECT_EQ(parseDims("V=64", plan), (std::map<std::string, int>{{"K", 128}, {"V", 64}}));
  for (const char* bad : {"V", "V=", "V=x", "V=-1", "V=4294967297"})
    EXPECT_THAT(errorOf([&] { parseDims(bad, plan); }), testing::HasSubstr("is no size")) << bad;
}

TEST(Options, DerivedDimsFollow) {
  const Plan plan = variantOf("variant b(K, F = taylor2(K), V) {\n"
                              "  input k[K], v[V]\n"
                              "  state S[F, V]\n"
                              "  S <- S + taylor2(rope(k)) * v\n"
                              "  output o[V] = taylor2(k) @ S\n"
                              "}\n")
                        .plan;
  using Dims = std::map<std::string, int>;
  EXPECT_EQ(parseDims("K=4,V=2", plan), (Dims{{"F", 21}, {"K", 4}, {"V", 2}}));
  EXPECT_EQ(parseDims("K=4,V=2,F=21", plan), (Dims{{"F", 21}, {"K", 4}, {"V", 2}}));
  EXPECT_EQ(parseDims("", plan).at("F"), 1 + 128 + 128 * 128);
  EXPECT_EQ(errorOf([&] { parseDims("K=4,F=20", plan); }),
            "--dims K=4,F=20: variant b: the dimension F has the size 20; it is taylor2(K) of K = "
            "4, so it must be 21, or left out");
  EXPECT_EQ(errorOf([&] { parseDims("K=5", plan); }),
            "--dims K=5: variant b: the dimension K has the size 5; rope turns pairs of elements, "
            "so it must be even");
}

TEST(Options, DTypesOfStreamsParamsAndStates) {
  const Plan plan = libraryVariant("gla").plan;
  KernelOptions options;
  options.dtype = "f16,g=f32,S=bf16";
  const Signature signature = parseSignature(options, plan);
  EXPECT_EQ(signature.compute, DType::f16);
  const std::map<std::string, DType> expected = {
      {"q", DType::f16}, {"o", DType::f16}, {"g", DType::f32}, {"S", DType::bf16}};
  for (std::size_t i = 0; i < plan.operands.size(); ++i) {
    const auto found = expected.find(plan.operands[i].name);
    if (found != expected.end()) {
      EXPECT_EQ(signature.dtypes[i], found->second) << found->first;
    }
  }
}

TEST(Options, Shapes) {
  const Shape shape = parseShape("8,4096,16");
  EXPECT_EQ(shape.batch, 8);
  EXPECT_EQ(shape.tokens, 4096);
  EXPECT_EQ(shape.heads, 16);
  for (const char* bad : {"", "1", "1,2,3,4", "1,0,1", "a,b,c", "1,2,3x"})
    EXPECT_EQ(errorOf([&] { parseShape(bad); }),
              "--shape " + std::string(bad) +
                  " is no shape; write batch, tokens, heads: 8,4096,16");
}

TEST(Options, ATileByItsParts) {
  const Tile base{16, 64, 64, 2, 1};
  EXPECT_EQ(parseTile("", base), base);
  EXPECT_EQ(parseTile("v32,s3", base), (Tile{16, 64, 32, 3, 1}));
  EXPECT_EQ(parseTile(toString(Tile{0, 8, 32, 1, 4}), base), (Tile{0, 8, 32, 1, 4}));
  const Tile hopper{64, 64, 128, 3, 1, 1, Form::sm90a};
  EXPECT_EQ(parseTile("c64,b64,v128,s3,sm_90a", base), hopper);
  EXPECT_EQ(parseTile(toString(hopper), base), hopper);
  EXPECT_EQ(parseTile("", hopper), hopper);
  const Tile segments{64, 64, 128, 3, 1, 1, Form::sm90a, 8};
  EXPECT_EQ(parseTile("c64,b64,v128,s3,n8,sm_90a", base), segments);
  EXPECT_EQ(parseTile(toString(segments), base), segments);
  EXPECT_EQ(parseTile("c64,b64,v128,s3,n0,sm_90a", segments), hopper);
  EXPECT_EQ(parseTile("s2", hopper), (Tile{64, 64, 128, 2, 1, 1}));
  EXPECT_EQ(parseTile("s2,portable", hopper), (Tile{64, 64, 128, 2, 1, 1}));
  for (const char* bad : {"16", "c", "z3", "v0", "s-1", "v32x"})
    EXPECT_THAT(errorOf([&] { parseTile(bad, base); }), testing::HasSubstr("is no part of a tile"));
}

TEST(Options, FamiliesByNameOrByPlan) {
  const Plan plan = libraryVariant("gla").plan;
  EXPECT_EQ(parseFamily("", plan, 1), Family::step);
  EXPECT_EQ(parseFamily("", plan, 4096), Family::scan);
  EXPECT_EQ(parseFamily("sequential", plan, 4096), Family::sequential);
}

}  // namespace
}  // namespace lathe::tool
