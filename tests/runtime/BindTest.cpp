#include "tests/runtime/Support.h"

#include <chrono>
#include <cstring>

namespace lathe {
namespace {

using test::address;
using test::errorOf;
using test::toyCall;
using testing::HasSubstr;

struct Bind : testing::Test {
  Plan plan = test::toyPlan();
  KernelSource source = test::toyKernel();
  Signature signature = test::toySignature();
  Binder binder{plan, source, signature};
  Call call = toyCall();

  LaunchPlan bound() { return binder.bind(call); }
  std::string error() {
    return errorOf<ArgumentError>([&] { binder.bind(call); });
  }

  static KernelTensor tensor(const LaunchPlan& plan, int slot) {
    KernelTensor tensor;
    const std::byte* first = plan.argument.data() + sizeof(KernelSizes);
    std::memcpy(&tensor, first + slot * sizeof(tensor), sizeof(tensor));
    return tensor;
  }
  template <class T> static T at(const LaunchPlan& plan, std::size_t offset) {
    T value;
    std::memcpy(&value, plan.argument.data() + offset, sizeof(value));
    return value;
  }
  static void expect(const KernelTensor& t, void* data, std::int64_t batch, std::int64_t token,
                     std::int64_t head, int group, int inner = 0) {
    EXPECT_EQ(t.data, data);
    EXPECT_EQ(t.batch, batch);
    EXPECT_EQ(t.token, token);
    EXPECT_EQ(t.head, head);
    EXPECT_EQ(t.headGroup, group);
    EXPECT_EQ(t.inner, inner);
  }
};

TEST_F(Bind, DerivedSizesFollow) {
  plan.rules.derived = {{"V", "taylor2", "K"}};
  signature.dims = {{"K", 2}};
  const Binder derived(plan, source, signature);
  for (const Binder::Slot& slot : derived.slots())
    if (slot.operand == "v") {
      EXPECT_EQ(slot.sizes, std::vector<std::int64_t>{7});
    }
  signature.dims = {{"K", 2}, {"V", 8}};
  EXPECT_EQ(errorOf<ArgumentError>([&] { Binder(plan, source, signature); }),
            "variant toy: the dimension V has the size 8; it is taylor2(K) of K = 2, so it must be "
            "7, or left out");
}

TEST_F(Bind, PacksEveryField) {
  LaunchPlan plan = bound();
  expect(tensor(plan, 0), address(1), 24, 8, 4, 3);
  expect(tensor(plan, 1), address(2), 144, 48, 8, 1);
  expect(tensor(plan, 2), address(3), 18, 6, 1, 1);
  expect(tensor(plan, 3), address(4), 0, 0, 1, 1);
  expect(tensor(plan, 4), address(5), 144, 48, 8, 1);
  expect(tensor(plan, 5), address(6), 192, 8, 32, 1, 1);
  expect(tensor(plan, 6), address(7), 192, 8, 32, 1, 1);
  const auto sizes = at<KernelSizes>(plan, 0);
  EXPECT_EQ(sizes.batch, 2);
  EXPECT_EQ(sizes.tokens, 3);
  EXPECT_EQ(sizes.heads, 6);
  EXPECT_EQ(sizes.tiles, 2);
  EXPECT_EQ(sizes.segments, 1);
  EXPECT_EQ(sizes.wide, 0);
  EXPECT_EQ(sizes.sequences, nullptr);
  EXPECT_EQ(sizes.slots, nullptr);
  EXPECT_EQ(sizes.workspace, nullptr);
  EXPECT_EQ(at<float>(plan, 328), 0.5f);
  EXPECT_EQ(at<float>(plan, 332), 0.0f) << "padding";
  EXPECT_EQ(plan.argumentBytes, 336u);
  EXPECT_EQ(plan.grid, 2u * 6 * 2);
  EXPECT_EQ(plan.threads, 64u);
  EXPECT_EQ(plan.sharedBytes, 1024u);
  EXPECT_EQ(plan.device, 0);
}

TEST_F(Bind, AStateOfOneBlockMayBeUpdatedInPlace) {
  call.final["S"].data = call.initial["S"].data;
  EXPECT_EQ(error(), "no error");
}

TEST_F(Bind, AStateOfSeveralBlocksMayNotBeUpdatedInPlace) {
  source.sharedStates = {6};
  binder = Binder(plan, source, signature);
  EXPECT_EQ(error(), "no error");
  call.final["S"].data = static_cast<char*>(call.initial["S"].data) + 4;
  EXPECT_EQ(error(),
            "argument 'final S' shares memory with 'initial S'; several blocks of this kernel read "
            "that state, so it cannot be updated in place");
}

TEST_F(Bind, HeadsBeforeTokens) {
  // [B,H,T,D] in memory, seen as [B,T,H,D].
  call.tensors["v"].strides = {144, 8, 24, 1};
  expect(tensor(bound(), 1), address(2), 144, 8, 24, 1);
}

TEST_F(Bind, StridesBeyond32BitsAndNegativeOnes) {
  call.tensors["v"].strides = {std::int64_t(1) << 40, -48, 8, 1};
  expect(tensor(bound(), 1), address(2), std::int64_t(1) << 40, -48, 8, 1);
}

TEST_F(Bind, AnInputMayBeBroadcast) {
  call.tensors["g"].strides = {0, 0, 0};
  expect(tensor(bound(), 2), address(3), 0, 0, 0, 1);
}

TEST_F(Bind, StrideOfAnAxisOfOneDoesNotCount) {
  for (auto& [name, view] : call.tensors)
    if (view.shape.size() > 1)
      view.shape[0] = 1;
  call.initial["S"].shape[0] = call.final["S"].shape[0] = 1;
  call.tensors["v"].strides[0] = 7;
  expect(tensor(bound(), 1), address(2), 0, 48, 8, 1);
}

TEST_F(Bind, StatesMayBeAbsent) {
  call.initial.clear();
  call.final.clear();
  LaunchPlan plan = bound();
  expect(tensor(plan, 5), nullptr, 0, 0, 0, 1);
  expect(tensor(plan, 6), nullptr, 0, 0, 0, 1);
}

TEST_F(Bind, ConstantsOverrideDefaults) {
  call.constants["scale"] = 0.25f;
  EXPECT_EQ(at<float>(bound(), 328), 0.25f);
  EXPECT_EQ(binder.constantNames(), std::vector<std::string>{"scale"});
  EXPECT_EQ(binder.defaultConstants(), std::vector<float>{0.5f});
}

TEST_F(Bind, NothingToDo) {
  for (auto& [name, view] : call.tensors)
    if (name != "A")
      view.shape[0] = 0, view.data = nullptr;
  call.initial.clear();
  call.final.clear();
  EXPECT_EQ(bound().grid, 0u);
}

TEST_F(Bind, NoTokensStillCarryTheState) {
  for (auto& [name, view] : call.tensors)
    if (name != "A")
      view.shape[1] = 0;
  EXPECT_EQ(bound().grid, 24u);
  EXPECT_EQ(at<KernelSizes>(bound(), 0).tokens, 0);
}

TEST_F(Bind, OneShotEqualsPrepared) {
  LaunchPlan once = bind(plan, source, signature, call), again = bound();
  EXPECT_EQ(std::memcmp(once.argument.data(), again.argument.data(), once.argumentBytes), 0);
}

TEST_F(Bind, WrongDtype) {
  call.tensors["q"].dtype = DType::f16;
  EXPECT_EQ(error(), "argument 'q' is f16; it must be bf16");
}

TEST_F(Bind, WrongRank) {
  call.tensors["q"] = contiguous(address(1), DType::bf16, {2, 3, 4});
  EXPECT_EQ(error(), "argument 'q' has shape [2, 3, 4]; it must have 4 axes: [batch, tokens, "
                     "heads, K=4]");
}

TEST_F(Bind, WrongRankOfAState) {
  call.initial["S"] = contiguous(address(6), DType::f32, {6, 4, 8});
  EXPECT_EQ(error(), "argument 'initial S' has shape [6, 4, 8]; it must have 4 axes: "
                     "[sequences, heads, K=4, V=8]");
}

TEST_F(Bind, WrongRankOfAParam) {
  call.tensors["A"] = contiguous(address(4), DType::f32, {2, 6});
  EXPECT_EQ(error(), "argument 'A' has shape [2, 6]; it must have 1 axis: [heads]");
}

TEST_F(Bind, WrongDimension) {
  call.tensors["v"] = contiguous(address(2), DType::bf16, {2, 3, 6, 16});
  EXPECT_EQ(error(), "argument 'v' has shape [2, 3, 6, 16]; axis 3 is 16 and must be V = 8");
}

TEST_F(Bind, NegativeSize) {
  call.tensors["q"].shape[1] = -3;
  EXPECT_EQ(error(), "argument 'q' has the negative size -3 on axis 1");
}

TEST_F(Bind, WrongNumberOfStrides) {
  call.tensors["q"].strides.pop_back();
  EXPECT_EQ(error(), "argument 'q' has 3 strides for 4 axes");
}

TEST_F(Bind, LastAxisNotContiguous) {
  call.tensors["q"].strides[3] = 2;
  EXPECT_EQ(error(), "argument 'q' has stride 2 on axis 3; it must be 1: the axes of one token and "
                     "head are contiguous");
}

TEST_F(Bind, StatesLieInEitherOrder) {
  call.initial["S"].strides = {192, 32, 1, 4};
  LaunchPlan plan = bound();
  expect(tensor(plan, 5), address(6), 192, 1, 32, 1, 4);
  expect(tensor(plan, 6), address(7), 192, 8, 32, 1, 1);
  call = toyCall();
  call.final["S"].strides = {192, 32, 1, 4};
  plan = bound();
  expect(tensor(plan, 5), address(6), 192, 8, 32, 1, 1);
  expect(tensor(plan, 6), address(7), 192, 1, 32, 1, 4);
}

TEST_F(Bind, StateOfOneColumnLiesAsDeclared) {
  signature.dims["V"] = 1;
  binder = Binder(plan, source, signature);
  call.tensors["v"] = contiguous(address(2), DType::bf16, {2, 3, 6, 1});
  call.tensors["o"] = contiguous(address(5), DType::bf16, {2, 3, 6, 1});
  for (auto* states : {&call.initial, &call.final})
    (*states)["S"] = contiguous(address(6), DType::f32, {2, 6, 4, 1});
  call.final["S"].strides = {24, 4, 1, 99};
  expect(tensor(bound(), 5), address(6), 24, 1, 4, 1, 1);
  expect(tensor(bound(), 6), address(6), 24, 1, 4, 1, 1);
}

TEST_F(Bind, StateWithPitch) {
  call.final["S"].strides = {400, 64, 16, 1};
  EXPECT_EQ(error(), "argument 'final S' has stride 16 on axis 2; it must be 8: a state is "
                     "contiguous, its axes in any order");
  call.final["S"].strides = {400, 64, 1, 5};
  EXPECT_EQ(error(), "argument 'final S' has stride 5 on axis 3; it must be 1: a state is "
                     "contiguous, its axes in any order");
}

TEST_F(Bind, ParamNotContiguous) {
  call.tensors["A"].strides = {2};
  EXPECT_EQ(error(), "argument 'A' has stride 2 on axis 0; it must be 1: a param is contiguous");
}

TEST_F(Bind, OutputOverlapsItself) {
  call.tensors["o"].strides[1] = 0;
  EXPECT_EQ(error(), "argument 'o' has stride 0 on axis 1 of size 3; what is written must not "
                     "overlap itself");
  call = toyCall();
  call.final["S"].strides[0] = 0;
  EXPECT_EQ(error(), "argument 'final S' has stride 0 on axis 0 of size 2; what is written must "
                     "not overlap itself");
}

TEST_F(Bind, NullData) {
  call.tensors["o"].data = nullptr;
  EXPECT_EQ(error(), "argument 'o' has no data; only states may be absent");
}

TEST_F(Bind, Misaligned) {
  call.tensors["g"].data = static_cast<char*>(address(3)) + 2;
  EXPECT_EQ(error(), "argument 'g' is not aligned to the 4 bytes of its elements");
}

TEST_F(Bind, DifferentDevices) {
  call.tensors["v"].device = 1;
  EXPECT_EQ(error(), "argument 'v' has device 1, but 'q' has device 0; they must be equal");
}

TEST_F(Bind, DifferentBatch) {
  call.tensors["v"] = contiguous(address(2), DType::bf16, {5, 3, 6, 8});
  EXPECT_EQ(error(), "argument 'v' has batch 5, but 'q' has batch 2; they must be equal");
}

TEST_F(Bind, DifferentTokens) {
  call.tensors["o"] = contiguous(address(2), DType::bf16, {2, 9, 6, 8});
  EXPECT_EQ(error(), "argument 'o' has tokens 9, but 'q' has tokens 3; they must be equal");
}

TEST_F(Bind, DifferentHeadsOfOutputAndState) {
  call.initial["S"] = contiguous(address(6), DType::f32, {2, 2, 4, 8});
  EXPECT_EQ(error(), "argument 'initial S' has heads 2, but 'o' has heads 6; they must be equal");
}

TEST_F(Bind, HeadsThatDoNotDivide) {
  call.tensors["q"] = contiguous(address(1), DType::bf16, {2, 3, 4, 4});
  EXPECT_EQ(error(), "argument 'q' has 4 heads, which do not divide the 6 heads of the launch");
}

TEST_F(Bind, NoHeads) {
  call.tensors["q"] = contiguous(address(1), DType::bf16, {2, 3, 0, 4});
  EXPECT_EQ(error(), "argument 'q' has 0 heads, which do not divide the 6 heads of the launch");
}

TEST_F(Bind, ParamWithFewerHeads) {
  call.tensors["A"] = contiguous(address(4), DType::f32, {2});
  EXPECT_EQ(error(), "argument 'A' has 2 heads; it must have all 6 heads of the launch");
}

TEST_F(Bind, TooManyTokens) {
  for (auto& [name, view] : call.tensors)
    if (name != "A")
      view.shape[1] = 3000000000;
  EXPECT_EQ(error(), "tokens is 3000000000; a launch takes at most 2147483647");
}

TEST_F(Bind, TooManyBlocks) {
  for (auto& [name, view] : call.tensors)
    if (name != "A")
      view.shape[0] = 200000000;
  call.initial.clear();
  call.final.clear();
  EXPECT_EQ(error(), "batch * heads * tiles is 2400000000; a launch takes at most 2147483647");
}

TEST_F(Bind, Missing) {
  call.tensors.erase("v");
  EXPECT_EQ(error(), "argument 'v' is missing; toy takes q, v, g, A, o, initial S, final S");
}

TEST_F(Bind, Unknown) {
  call.tensors["k"] = call.tensors["q"];
  EXPECT_EQ(error(), "there is no argument 'k'; toy takes q, v, g, A, o, initial S, final S");
  call = toyCall();
  call.initial["n"] = call.initial["S"];
  EXPECT_EQ(error(),
            "there is no argument 'initial n'; toy takes q, v, g, A, o, initial S, final S");
}

TEST_F(Bind, UnknownConstant) {
  call.constants["eps"] = 1;
  EXPECT_EQ(error(), "there is no constant 'eps'; toy has scale");
}

TEST_F(Bind, WrongCounts) {
  std::vector<TensorView> arguments = binder.arguments(call);
  EXPECT_EQ(errorOf<ArgumentError>([&] { binder.bind(std::span(arguments).first(3)); }),
            "3 tensors were given; kernel toy takes 7: q, v, g, A, o, initial S, final S");
  float two[] = {1, 2};
  EXPECT_EQ(errorOf<ArgumentError>([&] { binder.bind(arguments, two); }),
            "2 constants were given; kernel toy takes 1");
}

TEST_F(Bind, SignatureWithoutADimension) {
  signature.dims.erase("V");
  EXPECT_EQ(errorOf<ArgumentError>([&] { Binder(plan, source, signature); }),
            "the signature has no size for the dimension V of toy");
}

TEST_F(Bind, SignatureWithTooFewDtypes) {
  signature.dtypes.resize(2);
  EXPECT_EQ(errorOf<ArgumentError>([&] { Binder(plan, source, signature); }),
            "the signature has 2 dtypes; it must have one for each of the 7 operands of toy");
}

TEST_F(Bind, TooManyTensors) {
  source.tensors.assign(120, source.tensors[0]);
  EXPECT_EQ(errorOf<ArgumentError>([&] { Binder(plan, source, signature); }),
            "kernel toy takes 120 tensors and 1 constants, 4856 bytes; a launch passes at most "
            "4096");
}

TEST_F(Bind, ContiguousStrides) {
  EXPECT_EQ(contiguous(nullptr, DType::f32, {2, 3, 4}).strides,
            (std::vector<std::int64_t>{12, 4, 1}));
}

}  // namespace
}  // namespace lathe
