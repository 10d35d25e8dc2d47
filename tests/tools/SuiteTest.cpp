#include "tools/lathe/Suite.h"

#include "tests/tools/Support.h"
#include "tools/lathe/Plot.h"

#include <nlohmann/json.hpp>

namespace lathe::tool {
namespace {

BenchRecord record() {
  BenchRow row;
  row.variant = "retnet";
  row.family = "scan";
  row.form = "portable";
  row.pass = "fwd";
  row.tile = "c16 b64 v64 s2 k1";
  row.shape = {8, 4096, 16};
  row.dims = {{"K", 128}, {"V", 128}};
  row.time = {139.004, 0.5};
  row.minBytes = 545267712;
  row.ceilingShare = 0.91234;
  return {"NVIDIA H200", "580.1, CUDA 13.0", "abc", "2026-01-02", "lathe bench", 4260.4, {row}};
}

TEST(Suite, TheRecordHasTheFormThatIsKept) {
  EXPECT_EQ(toJson(record()).dump(),
            "{\"command\":\"lathe bench\",\"commit\":\"abc\",\"copy_GBps\":4260.0,"
            "\"date\":\"2026-01-02\",\"driver\":\"580.1, CUDA 13.0\",\"machine\":\"NVIDIA H200\","
            "\"rows\":[{\"B\":8,\"H\":16,\"K\":128,\"T\":4096,\"V\":128,\"ceiling_share\":0.9123,"
            "\"dtype\":\"bf16\",\"family\":\"scan\",\"form\":\"portable\",\"min_bytes\":545267712,"
            "\"pass\":\"fwd\",\"tile\":\"c16 b64 v64 s2 k1\",\"us_mad\":0.5,\"us_median\":139.0,"
            "\"variant\":\"retnet\"}]}");
}

TEST(Suite, ThePlotHasABarForEachRow) {
  BenchRecord two = record();
  two.machine = "A & B";
  two.rows.push_back(two.rows[0]);
  const std::string svg = plotSvg(two);
  EXPECT_THAT(svg, testing::StartsWith("<svg "));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
  EXPECT_THAT(svg, testing::HasSubstr("A &amp; B"));
  EXPECT_THAT(svg, testing::HasSubstr("91 %, 139.0 us"));
  std::size_t bars = 0;
  for (std::size_t at = 0; (at = svg.find("fill='#3070b0'", at)) != std::string::npos; ++at)
    ++bars;
  EXPECT_EQ(bars, 2U);
}

TEST(Suite, EveryCaseOfTheH200SuiteHasAKernel) {
  const std::vector<BenchCase> cases = suiteOf("h200");
  EXPECT_EQ(cases.size(), 22U);
  for (const BenchCase& one : cases) {
    const Plan plan = libraryVariant(one.variant).plan;
    Signature signature;
    signature.dims = one.dims;
    signature.compute = one.dtype;
    signature.dtypes.assign(plan.operands.size(), one.dtype);
    EXPECT_FALSE(candidates(plan, plan.family(one.shape.tokens), signature, knownDevice("sm_90a"),
                            one.shape.batch * one.shape.heads)
                     .tiles.empty())
        << one.variant;
  }
}

TEST(Suite, OneHasBackwardPassesAlone) {
  const std::vector<BenchCase> cases = suiteOf("h200-backward");
  EXPECT_FALSE(cases.empty());
  for (const BenchCase& one : cases)
    EXPECT_TRUE(one.isBackward);
}

}  // namespace
}  // namespace lathe::tool
