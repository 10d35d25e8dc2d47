// Long sequences, and tensors whose elements lie further apart than 32 bits count.
#include "runtime/driver/Cuda.h"
#include "tests/gpu/Support.h"

namespace lathe::test {
namespace {

using Long = VariantTest;

constexpr std::int64_t longest = 1 << 20, part = 1 << 16;

/// The tokens [first, first + part) of a call.
Call partOf(const Call& whole, const Plan& plan, std::int64_t first) {
  Call own = whole;
  for (const Operand& operand : plan.operands)
    if (operand.kind == Operand::Kind::input || operand.kind == Operand::Kind::output) {
      TensorView& view = own.tensors.at(operand.name);
      view.data = static_cast<std::byte*>(view.data) + first * view.strides[1] * bytes(view.dtype);
      view.shape[1] = part;
    }
  return own;
}

/// Launches a call with a workspace of its own.
void launch(const PreparedKernel& kernel, const Call& call, const Stream& stream) {
  LaunchPlan plan = kernel.binder().bind(call);
  const Buffer workspace(plan.workspaceBytes);
  workspace.fill(0, stream);
  plan.useWorkspace({workspace.data(), workspace.bytes(), device});
  kernel.launch(plan, stream);
  stream.synchronize();
}

/// One call of a million tokens computes what sixteen calls do that pass their states on.
TEST_P(Long, AMillionTokens) {
  const Plan& plan = variantNamed(variant()).plan;
  const Case one{.variant = variant(), .K = 32, .V = 32, .shape = {1, longest, 1}, .how = {}};
  const HostCall host = draw(plan, signatureOf(one), one.shape, one.how);
  DeviceCall call(plan, signatureOf(one), one.shape, host);
  DeviceCall between(plan, signatureOf(one), {1, 0, 1},
                     draw(plan, signatureOf(one), {1, 0, 1}, one.how));
  for (const Case& each : everyFamily(one)) {
    const std::unique_ptr<PreparedKernel> kernel = prepare(each);
    const Stream stream;
    call.poison();
    launch(*kernel, call.call(), stream);
    const HostResult whole = call.download();
    call.poison();
    const std::map<std::string, TensorView> states[2] = {call.call().final, between.call().final};
    for (std::int64_t i = 0; i < longest / part; ++i) {
      Call own = partOf(call.call(), plan, i * part);
      if (i > 0)
        own.initial = states[i % 2];
      own.final = states[(i + 1) % 2];
      launch(*kernel, own, stream);
    }
    // An even number of parts: the last state lies with the call.
    const Verdict verdict = judge(plan, signatureOf(each), call.download(), whole);
    EXPECT_TRUE(verdict.passed) << describe(each) << ": " << verdict.reason;
  }
}

/// The views of a call in memory where batches lie 2^32 elements apart (of states 2^31), tokens
/// 2^24, heads 2^21: all that is not its own is never touched.
class Spread {
public:
  Spread(const Plan& plan, const Call& dense, const Shape& shape) : plan(plan), own(dense) {
    tokens =
        Buffer(((shape.batch - 1) * 2 * far + shape.tokens * tokenStride) * sizeof(std::int16_t));
    states = Buffer(((shape.batch - 1) * far + shape.heads * headStride) * sizeof(float));
    forEachOf(own, [&](const Operand& operand, TensorView& view, int index) {
      const bool isState = operand.kind == Operand::Kind::state;
      const std::int64_t first = index * room * bytes(view.dtype);
      view.data = static_cast<std::byte*>((isState ? states : tokens).data()) + first;
      view.strides[0] = isState ? far : 2 * far;
      if (!isState)
        view.strides[1] = tokenStride;
      view.strides[isState ? 1 : 2] = headStride;
    });
  }

  const Call& call() const { return own; }

  void copyFrom(const Call& dense) { copy(dense, own); }
  void copyTo(const Call& dense) { copy(own, dense); }

private:
  static constexpr std::int64_t far = std::int64_t(1) << 31, tokenStride = 1 << 24,
                                headStride = 1 << 21, room = 1 << 17;

  /// Calls body(operand, view, a number of its own) for all tensors but params.
  template <typename Body> void forEachOf(Call& call, const Body& body) {
    int index = 0;
    for (const Operand& operand : plan.operands) {
      if (operand.kind == Operand::Kind::input || operand.kind == Operand::Kind::output)
        body(operand, call.tensors.at(operand.name), index++);
      if (operand.kind == Operand::Kind::state) {
        body(operand, call.initial.at(operand.name), index++);
        body(operand, call.final.at(operand.name), index++);
      }
    }
  }

  void copy(Call from, Call to) {
    std::vector<TensorView> sources;
    forEachOf(from, [&](const Operand&, TensorView& view, int) { sources.push_back(view); });
    forEachOf(to, [&](const Operand& operand, TensorView& view, int index) {
      copyRows(sources[index], view, operand.kind == Operand::Kind::state ? 2 : 3);
    });
    synchronizeDevice();
  }

  static void copyRows(const TensorView& from, const TensorView& to, std::size_t leading) {
    std::int64_t rows = 1, width = bytes(from.dtype);
    for (std::size_t axis = 0; axis < from.shape.size(); ++axis)
      (axis < leading ? rows : width) *= from.shape[axis];
    for (std::int64_t row = 0; row < rows; ++row) {
      std::int64_t rest = row, source = 0, target = 0;
      for (std::size_t axis = leading; axis-- > 0; rest /= from.shape[axis]) {
        source += rest % from.shape[axis] * from.strides[axis];
        target += rest % from.shape[axis] * to.strides[axis];
      }
      cuda::check(
          cuda::api().memcpyOnDevice(at(to, target), at(from, source), std::size_t(width), nullptr),
          "a copy of a row");
    }
  }

  static cuda::Pointer at(const TensorView& view, std::int64_t element) {
    return reinterpret_cast<cuda::Pointer>(static_cast<std::byte*>(view.data) +
                                           element * bytes(view.dtype));
  }

  const Plan& plan;
  Buffer tokens, states;
  Call own;
};

TEST_P(Long, ElementsFurtherApartThan32BitsCount) {
  const Plan& plan = variantNamed(variant()).plan;
  for (std::int64_t tokens : {5, 150}) {
    const Case one{.variant = variant(), .shape = {2, tokens, 2}, .how = {}};
    const std::shared_ptr<const Reference> reference = referenceOf(one);
    DeviceCall dense(plan, signatureOf(one), one.shape, reference->host);
    Spread spread(plan, dense.call(), one.shape);
    for (const Case& each : everyFamily(one)) {
      const std::unique_ptr<PreparedKernel> kernel = prepare(each);
      const Stream stream;
      spread.copyFrom(dense.call());
      launch(*kernel, spread.call(), stream);
      spread.copyTo(dense.call());
      const Verdict verdict = judge(plan, signatureOf(each), dense.download(), reference->expected);
      EXPECT_TRUE(verdict.passed) << describe(each) << ": " << verdict.reason;
      dense.poison();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Gpu, Long, testing::Values("retnet", "gla", "gated_delta_net"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
