// Calls in the memory of a pretended driver, whose device memory is the host's.
#include "runtime/driver/Cuda.h"
#include "tests/runtime/DriverSupport.h"
#include "tests/tuner/Support.h"
#include "tuner/Funnel.h"
#include "tuner/Numbers.h"

namespace lathe {
namespace {

using test::errorOf;
using test::retentionPlan;
using test::signatureOf;
using testing::HasSubstr;

struct DeviceCalls : test::DriverTest {
  Plan plan = retentionPlan();
  Shape shape{2, 5, 3};
  cuda::ContextScope scope{0};

  /// The element of a view at an index of its logical shape.
  static std::byte* at(const TensorView& view, const std::vector<std::int64_t>& index) {
    std::int64_t offset = 0;
    for (std::size_t axis = 0; axis < index.size(); ++axis)
      offset += index[axis] * view.strides[axis];
    return static_cast<std::byte*>(view.data) + offset * bytes(view.dtype);
  }
  static double valueAt(const TensorView& view, const std::vector<std::int64_t>& index) {
    double value = 0;
    decode(view.dtype, at(view, index), 1, &value);
    return value;
  }
};

TEST_F(DeviceCalls, InputsLieWhereTheViewSays) {
  for (DType dtype : {DType::bf16, DType::f16, DType::f32})
    for (Layout layout : {Layout::bthd, Layout::bhtd})
      for (auto [gap, offset] : {std::pair{0, 0}, {3, 0}, {0, 1}, {5, 2}}) {
        Signature signature = signatureOf(plan, dtype, 8, 4);
        Draw how;
        how.heads["k"] = 1;
        HostCall host = draw(plan, signature, shape, how);
        Placement placement(layout);
        placement.gap = gap;
        placement.offset = offset;
        DeviceCall call(plan, signature, shape, host, placement);
        for (const auto& [name, tensor] : host.tensors) {
          if (name == "gamma")
            continue;
          const TensorView& view = call.call().tensors.at(name);
          ASSERT_EQ(view.shape, tensor.shape);
          std::size_t next = 0;
          for (std::int64_t b = 0; b < tensor.shape[0]; ++b)
            for (std::int64_t t = 0; t < tensor.shape[1]; ++t)
              for (std::int64_t h = 0; h < tensor.shape[2]; ++h)
                for (std::int64_t d = 0; d < tensor.shape[3]; ++d)
                  ASSERT_EQ(valueAt(view, {b, t, h, d}), tensor.data[next++]) << name;
        }
        EXPECT_EQ(std::uintptr_t(call.call().tensors.at("q").data) % bytes(dtype), 0u);
        const KernelSource kernel =
            emit(plan, Family::step, signature,
                 candidates(plan, Family::step, signature, knownDevice("sm_90a"), 6).tiles.front());
        EXPECT_NO_THROW(bind(plan, kernel, signature, call.call()));
      }
}

TEST_F(DeviceCalls, TheLayoutIsThatOfTheMemory) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  HostCall host = draw(plan, signature, shape, {});
  using Strides = std::vector<std::int64_t>;
  auto strides = [&](Placement placement) {
    return DeviceCall(plan, signature, shape, host, placement).call().tensors.at("q").strides;
  };
  EXPECT_EQ(strides(Layout::bthd), (Strides{5 * 24, 24, 8, 1}));
  EXPECT_EQ(strides(Layout::bhtd), (Strides{3 * 40, 8, 40, 1}));
  Placement gap(Layout::bthd);
  gap.gap = 6;
  EXPECT_EQ(strides(gap), (Strides{5 * 30, 30, 8, 1}));
}

TEST_F(DeviceCalls, WhatIsNotWrittenIsNan) {
  Signature signature = signatureOf(plan);
  HostCall host = draw(plan, signature, shape, {});
  DeviceCall call(plan, signature, shape, host);
  HostResult nothing = call.download();
  for (double x : nothing.outputs.at("o").data)
    ASSERT_TRUE(std::isnan(x));
  HostTensor zero = nothing.states.at("S");
  std::fill(zero.data.begin(), zero.data.end(), 0.0);
  EXPECT_EQ(errorRatio(nothing.states.at("S"), zero), std::numeric_limits<double>::infinity());
}

TEST_F(DeviceCalls, WhatIsWrittenComesBack) {
  Signature signature = signatureOf(plan, DType::f16, 8, 4);
  for (Layout layout : {Layout::bthd, Layout::bhtd}) {
    Placement placement(layout);
    placement.gap = 2;
    DeviceCall call(plan, signature, shape, draw(plan, signature, shape, {}), placement);
    const TensorView& o = call.call().tensors.at("o");
    double number = 0;
    for (std::int64_t b = 0; b < 2; ++b)
      for (std::int64_t t = 0; t < 5; ++t)
        for (std::int64_t h = 0; h < 3; ++h)
          for (std::int64_t d = 0; d < 4; ++d, ++number)
            encode(DType::f16, &number, 1, at(o, {b, t, h, d}));
    HostTensor found = call.download().outputs.at("o");
    EXPECT_EQ(found.shape, (std::vector<std::int64_t>{2, 5, 3, 4}));
    for (std::size_t i = 0; i < found.data.size(); ++i)
      ASSERT_EQ(found.data[i], double(i));
    call.poison();
    EXPECT_TRUE(std::isnan(call.download().outputs.at("o").data[7]));
  }
}

TEST_F(DeviceCalls, WritingOutsideIsFound) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  HostCall host = draw(plan, signature, shape, {});
  Placement placement;
  placement.gap = 2;
  for (std::ptrdiff_t outside : {-2, -256, 24, 5 * 2 * 28}) {
    DeviceCall call(plan, signature, shape, host, placement);
    auto* data = static_cast<std::byte*>(call.call().tensors.at("o").data);
    data[outside] = std::byte(0);
    EXPECT_EQ(errorOf([&] { call.download(); }),
              "the kernel wrote outside 'o': byte " + std::to_string(outside) +
                  " from its first element, which is none of its own");
    call.poison();
    EXPECT_EQ(errorOf([&] { call.download(); }), "no error");
  }
}

TEST_F(DeviceCalls, StatesInPlaceBeginAnew) {
  Signature signature = signatureOf(plan);
  HostCall host = draw(plan, signature, shape, {});
  Placement placement;
  placement.inPlace = true;
  DeviceCall call(plan, signature, shape, host, placement);
  const TensorView& state = call.call().final.at("S");
  EXPECT_EQ(call.call().initial.at("S").data, state.data);
  EXPECT_EQ(call.download().states.at("S").data, host.initial.at("S").data);
  *static_cast<float*>(state.data) = 1e9f;
  EXPECT_EQ(call.download().states.at("S").data[0], 1e9);
  call.poison();
  EXPECT_EQ(call.download().states.at("S").data, host.initial.at("S").data);
}

TEST_F(DeviceCalls, WhatIsNotWantedIsNotThere) {
  Signature signature = signatureOf(plan);
  HostCall host = draw(plan, signature, shape, {.initialStates = false});
  Placement placement;
  placement.finalStates = false;
  DeviceCall call(plan, signature, shape, host, placement);
  EXPECT_TRUE(call.call().initial.empty());
  EXPECT_TRUE(call.call().final.empty());
  EXPECT_TRUE(call.download().states.empty());
}

TEST_F(DeviceCalls, OneBatchIsRepeated) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  HostCall host = draw(plan, signature, {1, 5, 3}, {});
  DeviceCall call(plan, signature, {3, 5, 3}, host);
  const TensorView& q = call.call().tensors.at("q");
  EXPECT_EQ(q.shape[0], 3);
  for (std::int64_t b = 0; b < 3; ++b)
    EXPECT_EQ(valueAt(q, {b, 4, 2, 7}), host.tensors.at("q").data.back());
  EXPECT_EQ(valueAt(call.call().initial.at("S"), {2, 2, 7, 3}), host.initial.at("S").data.back());
}

TEST_F(DeviceCalls, EmptyCalls) {
  Signature signature = signatureOf(plan);
  for (Shape empty : {Shape{2, 0, 3}, Shape{0, 5, 3}}) {
    DeviceCall call(plan, signature, empty, draw(plan, signature, empty, {}));
    HostResult result = call.download();
    EXPECT_TRUE(result.outputs.at("o").data.empty());
    EXPECT_EQ(result.states.at("S").data.size(), std::size_t(empty.batch) * 3 * 64 * 64);
  }
}

TEST_F(DeviceCalls, TokensOfNoSequenceAreNanOrCanaries) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  const Shape packed{1, 9, 3};
  HostCall host = draw(plan, signature, packed, {.cuSeqlens = {1, 1, 6}});
  for (Layout layout : {Layout::bthd, Layout::bhtd}) {
    DeviceCall call(plan, signature, packed, host, layout);
    EXPECT_EQ(call.call().final.at("S").shape[0], 2);
    const TensorView& q = call.call().tensors.at("q");
    for (std::int64_t token = 0; token < 9; ++token)
      EXPECT_EQ(std::isnan(valueAt(q, {0, token, 2, 7})), token < 1 || token >= 6) << token;
    const HostTensor o = call.download().outputs.at("o");
    for (std::int64_t token = 0; token < 9; ++token)
      EXPECT_EQ(std::isnan(o.data[token * 12]), token >= 1 && token < 6) << token;
    std::byte* outside = at(call.call().tensors.at("o"), {0, 6, 0, 1});
    *outside = std::byte(0);
    EXPECT_THAT(errorOf([&] { call.download(); }), HasSubstr("the kernel wrote outside 'o'"));
  }
}

TEST_F(DeviceCalls, ListsAreOfTheWidthAskedFor) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  const Shape packed{1, 9, 3};
  HostCall host = draw(plan, signature, packed, {.cuSeqlens = {0, 4, 9}, .slots = {3, -1}});
  for (bool wide : {false, true}) {
    Placement placement;
    placement.wideLists = wide;
    DeviceCall call(plan, signature, packed, host, placement);
    const IndexLists& lists = call.call().lists;
    EXPECT_EQ(lists.cuSeqlens.shape, std::vector<std::int64_t>{3});
    EXPECT_EQ(lists.cuSeqlens.bits, wide ? 64 : 32);
    EXPECT_EQ(lists.slots.bits, wide ? 64 : 32);
    if (wide)
      EXPECT_EQ(static_cast<const std::int64_t*>(lists.slots.data)[1], -1);
    else
      EXPECT_EQ(static_cast<const std::int32_t*>(lists.cuSeqlens.data)[2], 9);
  }
  DeviceCall plain(plan, signature, shape, draw(plan, signature, shape, {}));
  EXPECT_FALSE(plain.call().lists.cuSeqlens.isGiven());
  EXPECT_FALSE(plain.call().lists.slots.isGiven());
}

TEST_F(DeviceCalls, RowsOfAPoolThatNoSequenceHasStay) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  HostCall host = draw(plan, signature, shape, {.slots = {4, 1}, .pool = 6});
  for (bool inPlace : {true, false}) {
    Placement placement;
    placement.inPlace = inPlace;
    DeviceCall call(plan, signature, shape, host, placement);
    const TensorView &initial = call.call().initial.at("S"), &final = call.call().final.at("S");
    EXPECT_EQ(final.shape[0], 6);
    EXPECT_EQ(valueAt(initial, {4, 0, 0, 0}), host.initial.at("S").data[4 * 96]);
    EXPECT_EQ(std::isnan(valueAt(initial, {3, 0, 0, 0})), !inPlace);
    const HostTensor states = call.download().states.at("S");
    EXPECT_EQ(states.data[3 * 96], 0);
    EXPECT_EQ(std::isnan(states.data[4 * 96]), !inPlace);
    *at(final, {3, 1, 2, 3}) = std::byte(1);
    EXPECT_THAT(errorOf([&] { call.download(); }), HasSubstr("the kernel wrote outside 'S'"));
    call.poison();
    EXPECT_EQ(errorOf([&] { call.download(); }), "no error");
  }
}

TEST_F(DeviceCalls, StatesLieInEitherOrder) {
  Signature signature = signatureOf(plan, DType::bf16, 8, 4);
  HostCall host = draw(plan, signature, shape, {});
  for (auto [first, last] : {std::pair{true, false}, {false, true}}) {
    Placement placement;
    placement.exchangedInitial = first;
    placement.exchangedFinal = last;
    DeviceCall call(plan, signature, shape, host, placement);
    const TensorView &initial = call.call().initial.at("S"), &final = call.call().final.at("S");
    using Strides = std::vector<std::int64_t>;
    EXPECT_EQ(initial.strides, first ? (Strides{96, 32, 1, 8}) : (Strides{96, 32, 4, 1}));
    EXPECT_EQ(final.strides, last ? (Strides{96, 32, 1, 8}) : (Strides{96, 32, 4, 1}));
    double number = 0;
    for (std::int64_t b = 0; b < 2; ++b)
      for (std::int64_t h = 0; h < 3; ++h)
        for (std::int64_t k = 0; k < 8; ++k)
          for (std::int64_t v = 0; v < 4; ++v, ++number) {
            EXPECT_EQ(valueAt(initial, {b, h, k, v}), host.initial.at("S").data[number]);
            encode(DType::f32, &number, 1, at(final, {b, h, k, v}));
          }
    const HostTensor found = call.download().states.at("S");
    for (std::size_t i = 0; i < found.data.size(); ++i)
      ASSERT_EQ(found.data[i], double(i));
  }
}

TEST_F(DeviceCalls, MemoryIsGivenBack) {
  Signature signature = signatureOf(plan);
  int before = fake->allocations;
  {
    DeviceCall call(plan, signature, shape, draw(plan, signature, shape, {}));
    EXPECT_GT(fake->allocations, before);
  }
  EXPECT_EQ(fake->allocations, before);
}

/// Its kernels compute nothing, so that none is right: the whole chain but the GPU.
TEST_F(DeviceCalls, TuningRejectsKernelsThatDoNothing) {
  test::Folder folder;
  test::Variable cache("LATHE_CACHE_DIR", folder.path.string());
  Database database((folder.path / "tuning").string());
  Problem problem{&plan, Family::step, signatureOf(plan, DType::bf16, 16, 16), {1, 1, 2}};
  int asked = 0;
  Oracle oracle = [&](const Plan&, const Signature&, const Shape& of, const HostCall&) {
    ++asked;
    HostResult result;
    result.outputs["o"] = {{of.batch, of.tokens, of.heads, 16}, {}};
    result.states["S"] = {{of.batch, of.heads, 16, 16}, {}};
    for (auto* tensor : {&result.outputs["o"], &result.states["S"]}) {
      std::int64_t count = 1;
      for (std::int64_t size : tensor->shape)
        count *= size;
      tensor->data.assign(count, 1.0);
    }
    return result;
  };
  TuneOptions options;
  options.limit = 1;
  EXPECT_THAT(errorOf([&] { tune(problem, 0, oracle, database, options); }),
              HasSubstr("a small call: output 'o' is off by inf of its RMS"));
  EXPECT_EQ(asked, 4);
  EXPECT_EQ(fake->launches, 2);
  std::vector<Trial> trials = database.trials(problem, deviceInfo(0));
  ASSERT_EQ(trials.size(), 1u);
  EXPECT_EQ(trials[0].outcome, Trial::Outcome::rejected);
  // The next run launches nothing.
  EXPECT_THAT(errorOf([&] { tune(problem, 0, oracle, database, options); }),
              HasSubstr("no candidate could be used: "));
  EXPECT_EQ(fake->launches, 2);
}

}  // namespace
}  // namespace lathe
