// Prepared kernels where launches are more than a call: graphs and threads.
#include "tests/gpu/Support.h"

#include <thread>

namespace lathe::test {
namespace {

using Launches = VariantTest;

/// A call on the GPU with what it must compute.
struct Prepared {
  explicit Prepared(const Case& one)
      : plan(variantNamed(one.variant).plan), signature(signatureOf(one)),
        reference(referenceOf(one)),
        call(plan, signature, one.shape, reference->host, one.placement) {}

  std::string failure() const {
    return judge(plan, signature, call.download(), reference->expected).reason;
  }

  const Plan& plan;
  Signature signature;
  std::shared_ptr<const Reference> reference;
  DeviceCall call;
};

TEST_P(Launches, InAGraph) {
  for (std::int64_t tokens : {3, 100})
    for (Family family : familiesOf(variant(), tokens)) {
      Case one{.variant = variant(), .family = family, .shape = {2, tokens, 2}};
      std::unique_ptr<PreparedKernel> kernel = prepare(one);
      Prepared prepared(one);
      const LaunchPlan bound = prepared.call.bind(kernel->binder());
      Stream stream;
      stream.beginCapture();
      kernel->launch(bound, stream);
      kernel->launch(bound, stream);
      Graph graph = stream.endCapture();
      for (int replay = 0; replay < 3; ++replay) {
        prepared.call.poison();
        graph.launch(stream);
        stream.synchronize();
        EXPECT_EQ(prepared.failure(), "") << describe(one) << ", replay " << replay;
      }
    }
}

TEST_P(Launches, FromTwoThreads) {
  Case one{
      .variant = variant(), .family = familiesOf(variant(), 100).front(), .shape = {2, 100, 2}};
  std::unique_ptr<PreparedKernel> kernel = prepare(one);
  std::string failures[2];
  auto work = [&](int thread) {
    cuda::ContextScope scope(device);
    Case own = one;
    own.how.seed = thread + 1;
    Prepared prepared(own);
    const LaunchPlan bound = prepared.call.bind(kernel->binder());
    Stream stream;
    for (int round = 0; round < 10 && failures[thread].empty(); ++round) {
      prepared.call.poison();
      for (int launch = 0; launch < 20; ++launch)
        kernel->launch(bound, stream);
      stream.synchronize();
      failures[thread] = prepared.failure();
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  EXPECT_EQ(failures[0], "") << describe(one);
  EXPECT_EQ(failures[1], "") << describe(one);
}

INSTANTIATE_TEST_SUITE_P(Gpu, Launches, testing::ValuesIn(variantNames),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
