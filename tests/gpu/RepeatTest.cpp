// The same call gives the same bits, however often it runs.
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

using Repeats = VariantTest;

TEST_P(Repeats, AHundredRunsAreTheSameToTheBit) {
  const Plan& plan = variantNamed(variant()).plan;
  for (const auto& shape : {Shape{2, 6, 8}, Shape{2, 777, 4}}) {
    const Case one{.variant = variant(), .K = 128, .V = 128, .shape = shape, .how = {}};
    for (const Case& each : everyFamily(one)) {
      const Signature signature = signatureOf(each);
      const std::unique_ptr<PreparedKernel> kernel = prepare(each);
      DeviceCall call(plan, signature, each.shape, draw(plan, signature, each.shape, each.how));
      const LaunchPlan bound = call.bind(kernel->binder());
      const Stream stream;
      HostResult first;
      int different = 0;
      for (int run = 0; run < 100; ++run) {
        call.poison();
        kernel->launch(bound, stream);
        stream.synchronize();
        HostResult result = call.download();
        if (run == 0)
          first = std::move(result);
        else
          different += !identical(first, result);
      }
      EXPECT_EQ(different, 0) << describe(each);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, Repeats, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
