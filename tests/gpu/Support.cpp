#include "tests/gpu/Support.h"

#include "compiler/cuda/ScanBackward.h"
#include "compiler/plan/Dims.h"
#include "runtime/Device.h"
#include "tuner/Sequences.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

namespace lathe::test {

namespace fs = std::filesystem;

namespace {

/// variants/ beside the folder of this program, as in a bundle, else that of the source tree.
fs::path variantsFolder() {
  std::error_code error;
  fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  if (!error && fs::exists(beside / "variants" / "gla.lathe"))
    return beside / "variants";
  return fs::path(LATHE_SOURCE_DIR) / "variants";
}

/// Makes each value once, in the thread that asks first.
template <typename Value> class Memo {
public:
  template <typename Make> std::shared_ptr<const Value> get(const std::string& key, Make make) {
    std::shared_ptr<Slot> slot;
    {
      std::lock_guard lock(mutex);
      std::shared_ptr<Slot>& found = slots[key];
      if (!found)
        found = std::make_shared<Slot>();
      slot = found;
    }
    std::lock_guard lock(slot->mutex);
    if (!slot->value)
      slot->value = std::make_shared<const Value>(make());
    return slot->value;
  }

  void clear() {
    std::lock_guard lock(mutex);
    slots.clear();
  }

private:
  struct Slot {
    std::mutex mutex;
    std::shared_ptr<const Value> value;
  };
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Slot>> slots;
};

Memo<Reference> references;
Memo<Tile> tiles;
Memo<CompiledVariant> variants;

Kernels& kernels() {
  static auto* all = new Kernels;
  return *all;
}

Tensor toTensor(const HostTensor& tensor) { return {tensor.shape, tensor.data}; }

HostResult interpretAlone(const CompiledVariant& variant, const Signature& signature,
                          const HostCall& host, int threads) {
  Arguments arguments;
  arguments.dims = signature.dims;
  for (const auto* from : {&host.tensors, &host.initial})
    for (const auto& [name, tensor] : *from)
      arguments.inputs[name] = toTensor(tensor);
  Results results = interpret(variant, arguments, 0, threads);
  HostResult expected;
  for (const Operand& operand : variant.plan.operands)
    if (operand.kind == Operand::Kind::output) {
      Tensor& tensor = results.outputs.at(operand.name);
      expected.outputs[operand.name] = {tensor.shape, std::move(tensor.data)};
    }
  for (auto& [name, tensor] : results.states)
    expected.states[name] = {tensor.shape, std::move(tensor.data)};
  return expected;
}

HostResult interpretOn(const CompiledVariant& variant, const Signature& signature,
                       const Shape& shape, const HostCall& host, int threads) {
  return runSequences(variant.plan, signature.dims, shape, host, [&](const HostCall& own) {
    return interpretAlone(variant, signature, own, threads);
  });
}

std::string listText(const std::vector<std::int64_t>& list) {
  std::string joined;
  for (std::int64_t number : list)
    joined += (joined.empty() ? "" : " ") + std::to_string(number);
  return joined;
}

/// Everything that decides the numbers of a call.
std::string numbersOf(const Case& one) {
  std::ostringstream text;
  text << one.variant << ", " << name(one.dtype);
  if (one.stateType != DType::f32)
    text << ", states " << name(one.stateType);
  if (one.gateType)
    text << ", gates " << name(*one.gateType);
  text << ", K " << one.K << " V " << one.V << ", B " << one.shape.batch << " T "
       << one.shape.tokens << " H " << one.shape.heads;
  for (const auto& [input, heads] : one.how.heads)
    text << ", " << heads << " heads of " << input;
  if (!one.how.initialStates)
    text << ", from zero";
  if (one.how.gateScale != 1)
    text << ", gates x " << one.how.gateScale;
  if (one.how.resets > 0)
    text << ", resets " << one.how.resets;
  if (one.how.repeatedKeys)
    text << ", repeated keys";
  if (!one.how.cuSeqlens.empty())
    text << ", packed " << listText(one.how.cuSeqlens);
  if (!one.how.slots.empty())
    text << ", slots " << listText(one.how.slots) << " of " << one.how.pool;
  text << ", seed " << one.how.seed;
  return text.str();
}

int cores() { return int(std::max(1u, std::thread::hardware_concurrency())); }

}  // namespace

std::vector<std::string> libraryNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(variantsFolder()))
    names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

static CompiledVariant compiledVariant(const std::string& name, const std::string& text,
                                       const std::string& file) {
  Diagnostics diagnostics;
  for (const CompiledVariant& one : compile(text, file, diagnostics))
    if (one.name == name)
      return one;
  throw std::runtime_error(file + " has no variant " + name);
}

static CompiledVariant partOf(const CompiledVariant& variant, const std::string& name) {
  for (const CompiledVariant::Part& part : variant.backwardScans)
    if (part.plan.variant == name) {
      CompiledVariant own;
      own.name = name;
      own.plan = withoutSums(part.plan);
      own.token = own.normal = part.form;
      return own;
    }
  throw std::runtime_error("there is no " + name + " in the backward pass of " + variant.name);
}

const CompiledVariant& variantNamed(const std::string& name) {
  return *variants.get(name, [&] {
    for (const char* role : {"_query", "_key", "_value"})
      if (name.ends_with(role))
        return partOf(variantNamed(name.substr(0, name.size() - std::string(role).size())), name);
    const fs::path path = variantsFolder() / (name + ".lathe");
    std::ifstream in(path);
    if (!in)
      throw std::runtime_error("there is no " + path.string());
    std::ostringstream text;
    text << in.rdbuf();
    return compiledVariant(name, text.str(), path.string());
  });
}

std::string adjointOf(const std::string& name) {
  std::string own = "d." + name;
  variants.get(own, [&] {
    CompiledVariant adjoint = variantNamed(name);
    adjoint.plan = adjoint.backward;
    adjoint.token = adjoint.gradient;
    adjoint.isStabilised = false;
    adjoint.chunk.reset();
    return adjoint;
  });
  return own;
}

void addVariant(const std::string& name, const std::string& text) {
  variants.get(name, [&] { return compiledVariant(name, text, name + ".lathe"); });
}

std::string describe(const Case& one) {
  std::string text = numbersOf(one);
  text.insert(one.variant.size(),
              std::string(" ") + name(one.family) + " " + toString(tileOf(one)));
  text += one.placement.layout == Layout::bthd ? ", [B,T,H,D]" : ", [B,H,T,D]";
  if (one.placement.gap)
    text += ", gap " + std::to_string(one.placement.gap);
  if (one.placement.offset)
    text += ", offset " + std::to_string(one.placement.offset);
  if (one.placement.inPlace)
    text += ", states in place";
  if (!one.placement.finalStates)
    text += ", no final states";
  if (one.placement.exchangedInitial)
    text += ", initial states transposed";
  if (one.placement.exchangedFinal)
    text += ", final states transposed";
  if (one.placement.wideLists)
    text += ", int64 lists";
  return text;
}

Signature signatureOf(const Case& one) {
  Signature signature;
  const Plan& plan = variantNamed(one.variant).plan;
  for (const std::string& dim : plan.dims)
    if (std::none_of(plan.rules.derived.begin(), plan.rules.derived.end(),
                     [&](const DerivedDim& derived) { return derived.dim == dim; }))
      signature.dims[dim] = dim == "V" ? one.V : one.K;
  signature.dims = completeDims(plan.variant, plan.rules, signature.dims);
  signature.compute = one.dtype;
  signature.pairedHeads = one.pairedHeads;
  for (const Operand& operand : plan.operands)
    signature.dtypes.push_back(operand.kind == Operand::Kind::state   ? one.stateType
                               : operand.kind == Operand::Kind::param ? DType::f32
                               : operand.log && one.gateType          ? *one.gateType
                                                                      : one.dtype);
  return signature;
}

Tile tileOf(const Case& one) {
  if (one.tile)
    return *one.tile;
  const std::vector<std::int64_t>& starts = one.how.cuSeqlens;
  const long long sequences = starts.empty() ? one.shape.batch : (long long)starts.size() - 1;
  const long long batchHeads = std::max(1LL, sequences) * one.shape.heads;
  std::ostringstream key;
  key << one.variant << name(one.family) << name(one.dtype) << name(one.stateType) << one.K << ' '
      << one.V << ' ' << batchHeads;
  return *tiles.get(key.str(), [&] {
    return candidates(variantNamed(one.variant).plan, one.family, signatureOf(one),
                      deviceInfo(device).limits, batchHeads)
        .tiles.front();
  });
}

Problem problemOf(const Case& one) {
  return {&variantNamed(one.variant).plan, one.family, signatureOf(one), one.shape};
}

std::unique_ptr<PreparedKernel> prepare(const Case& one) {
  const Plan& plan = variantNamed(one.variant).plan;
  Signature signature = signatureOf(one);
  return std::make_unique<PreparedKernel>(
      kernels(), plan, emit(plan, one.family, signature, tileOf(one)), signature, device);
}

std::shared_ptr<const Reference> referenceOf(const Case& one, int threads) {
  return references.get(numbersOf(one), [&] {
    const CompiledVariant& variant = variantNamed(one.variant);
    Signature signature = signatureOf(one);
    Reference reference;
    reference.host = draw(variant.plan, signature, one.shape, one.how);
    reference.expected = interpretOn(variant, signature, one.shape, reference.host, threads);
    for (const auto* results : {&reference.expected.outputs, &reference.expected.states})
      for (const auto& [name, tensor] : *results)
        for (double x : tensor.data)
          if (!std::isfinite(x))
            throw std::runtime_error("the interpreter's '" + name + "' is not finite");
    return reference;
  });
}

Oracle oracle() {
  return
      [](const Plan& plan, const Signature& signature, const Shape& shape, const HostCall& host) {
        return interpretOn(variantNamed(plan.variant), signature, shape, host, cores());
      };
}

std::string failureOf(const Case& one, int threads) {
  try {
    std::shared_ptr<const Reference> reference = referenceOf(one, threads);
    const Plan& plan = variantNamed(one.variant).plan;
    const Signature signature = signatureOf(one);
    std::unique_ptr<PreparedKernel> kernel = prepare(one);
    DeviceCall call(plan, signature, one.shape, reference->host, one.placement);
    TwoRuns runs = runTwice(*kernel, call);
    Verdict verdict = judge(plan, signature, runs.first, reference->expected);
    if (!verdict.passed)
      return describe(one) + ": " + verdict.reason;
    if (!identical(runs.first, runs.second))
      return describe(one) + ": two runs differ";
    return "";
  } catch (const std::exception& error) {
    return numbersOf(one) + ", " + name(one.family) +
           (one.tile ? " " + toString(*one.tile) : std::string()) + ": " + error.what();
  }
}

void expectNoFailure(std::size_t count, const std::function<std::string(std::size_t)>& failureOf) {
  std::vector<std::string> failures(count);
  std::atomic<std::size_t> next = 0;
  auto work = [&] {
    cuda::ContextScope scope(device);
    for (std::size_t i; (i = next++) < count;)
      failures[i] = failureOf(i);
  };
  std::vector<std::thread> others;
  for (int i = 1; i < cores(); ++i)
    others.emplace_back(work);
  work();
  for (std::thread& other : others)
    other.join();

  constexpr int most = 20;  // to be printed in full
  int wrong = 0;
  for (const std::string& failure : failures)
    if (!failure.empty() && ++wrong <= most)
      ADD_FAILURE() << failure;
  EXPECT_EQ(wrong, 0) << "of " << count << " calls are wrong";
  EXPECT_GT(count, 0U);
}

void expectRight(const std::vector<Case>& cases) {
  expectNoFailure(cases.size(), [&](std::size_t i) { return failureOf(cases[i]); });
}

std::vector<Family> familiesOf(const std::string& variant, std::int64_t tokens) {
  constexpr std::int64_t mostOfStep = 8;
  std::vector<Family> families = {Family::sequential};
  if (variantNamed(variant).plan.scan)
    families.insert(families.begin(), Family::scan);
  if (tokens <= mostOfStep)
    families.push_back(Family::step);
  return families;
}

std::vector<Case> everyForm(const Case& one) {
  const std::vector<Tile> all = candidates(variantNamed(one.variant).plan, one.family,
                                           signatureOf(one), deviceInfo(device).limits, 1)
                                    .tiles;
  std::vector<Case> cases;
  for (const Form form : {Form::portable, Form::sm90a})
    if (auto tile =
            std::find_if(all.begin(), all.end(), [&](const Tile& own) { return own.form == form; });
        tile != all.end()) {
      cases.push_back(one);
      cases.back().tile = *tile;
      if (form == Form::sm90a) {
        cases.push_back(cases.back());
        cases.back().tile->segments = 3;
      }
    }
  return cases;
}

std::vector<Case> everyFamily(const Case& one) {
  std::int64_t longest = one.how.cuSeqlens.empty() ? one.shape.tokens : 0;
  for (std::size_t i = 0; i + 1 < one.how.cuSeqlens.size(); ++i)
    longest = std::max(longest, one.how.cuSeqlens[i + 1] - one.how.cuSeqlens[i]);
  std::vector<Case> cases;
  for (const Family family : familiesOf(one.variant, longest)) {
    Case own = one;
    own.family = family;
    for (const Case& each : everyForm(own))
      cases.push_back(each);
  }
  return cases;
}

void GpuTest::SetUp() {
  std::string problem;
  if (!cuda::available(&problem))
    GTEST_SKIP() << "no GPU to test on: " << problem;
  if (deviceCount() == 0)
    GTEST_SKIP() << "no GPU to test on: the driver finds none";
  if (!std::getenv("LATHE_PYTHON"))
    setenv("LATHE_PYTHON", LATHE_SOURCE_DIR "/.venv", 1);
  scope.emplace(device);
  ASSERT_NO_THROW(synchronizeDevice()) << "an earlier test broke the GPU's context";
}

void GpuTest::TearDown() {
  references.clear();
  scope.reset();
}

}  // namespace lathe::test
