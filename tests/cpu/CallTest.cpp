// What a call of a kernel may ask for: dtypes, fewer heads, packed sequences, threads, consts.
#include "tests/cpu/Support.h"

#include <thread>

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-5;

/// Tokens first ... first + length of every input, and the states of one sequence.
Arguments slice(const CompiledVariant& variant, const Arguments& call, std::int64_t first,
                std::int64_t length, std::int64_t sequence) {
  Arguments part = call;
  for (const Operand& operand : variant.plan.operands) {
    const auto found = part.inputs.find(operand.name);
    if (found == part.inputs.end() || operand.kind == Operand::Kind::param)
      continue;
    Tensor& tensor = found->second;
    const bool isInput = operand.kind == Operand::Kind::input;
    const std::int64_t begin = isInput ? first : sequence, count = isInput ? length : 1;
    const std::int64_t width =
        static_cast<std::int64_t>(tensor.data.size()) / tensor.shape[isInput ? 1 : 0];
    tensor.shape[isInput ? 1 : 0] = count;
    tensor.data = {tensor.data.begin() + begin * width,
                   tensor.data.begin() + (begin + count) * width};
  }
  return part;
}

TEST(CpuCall, HalfPrecisionIsReadAndWritten) {
  for (const std::string name : {"gla", "gated_delta_net"})
    for (const DType dtype : {DType::bf16, DType::f16}) {
      const CompiledVariant variant = compileLibrary(name);
      CpuOptions options;
      for (const Operand& operand : variant.plan.operands)
        if (operand.kind != Operand::Kind::state && operand.kind != Operand::Kind::constant)
          options.dtypes[operand.name] = dtype;
      Arguments call = randomCall(variant, {2, 37, 2}, {{"K", 20}, {"V", 35}});
      roundInputs(call, options.dtypes);
      const Results expected = interpret(variant, call, 0, 1);
      const Results found = runOnCpu(variant.token.program, call, options);
      EXPECT_LE(distance(found.states.at("S"), expected.states.at("S")), tolerance) << name;
      const double ulp = dtype == DType::bf16 ? 0x1p-9 : 0x1p-12;
      EXPECT_LE(distance(found.outputs.at("o"), expected.outputs.at("o")), ulp) << name;
    }
}

TEST(CpuCall, AnInputMayHaveFewerHeads) {
  const CompiledVariant variant = compileLibrary("gla");
  Arguments call = randomCall(variant, {2, 9, 6}, {{"K", 4}, {"V", 18}});
  const Arguments few = randomCall(variant, {2, 9, 2}, {{"K", 4}, {"V", 18}}, 0.3, true, 8);
  call.inputs["q"] = few.inputs.at("q");
  call.inputs["k"] = few.inputs.at("k");
  roundInputs(call, {});
  expectClose(runOnCpu(variant.token.program, call), interpret(variant, call, 0, 1), tolerance,
              "2 of 6 heads");
}

TEST(CpuCall, PackedSequencesHaveStatesOfTheirOwn) {
  const CompiledVariant variant = compileOne(R"(variant v(K, V) {
    input q[K], k[K], v[V]
    state S[K, V]
    S <- S / (1 + 0.01 * position) + k * v
    output o[V] = q @ S
  })");
  const std::vector<std::int64_t> lengths{5, 0, 1, 17};
  Arguments call = randomCall(variant, {1, 23, 2}, {{"K", 4}, {"V", 18}});
  const Arguments states = randomCall(variant, {4, 1, 2}, {{"K", 4}, {"V", 18}});
  call.inputs["S"] = states.inputs.at("S");
  roundInputs(call, {});
  CpuOptions options;
  options.lengths = lengths;
  const Results all = runOnCpu(variant.token.program, call, options);
  std::int64_t first = 0;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    const Results expected = interpret(
        variant, slice(variant, call, first, lengths[n], static_cast<std::int64_t>(n)), 0, 1);
    for (std::size_t i = 0; i < expected.outputs.at("o").data.size(); ++i)
      EXPECT_NEAR(all.outputs.at("o").data[first * 2 * 18 + i], expected.outputs.at("o").data[i],
                  1e-4);
    for (std::size_t i = 0; i < expected.states.at("S").data.size(); ++i)
      EXPECT_NEAR(all.states.at("S").data[n * 2 * 4 * 18 + i], expected.states.at("S").data[i],
                  1e-4);
    first += lengths[n];
  }
}

TEST(CpuCall, ThreadsAndSlicesChangeNothing) {
  const CompiledVariant variant = compileLibrary("linear_attention");
  Arguments call = randomCall(variant, {2, 21, 3}, {{"K", 8}, {"V", 70}});
  roundInputs(call, {});
  CpuOptions options;
  options.threads = 1;
  options.slice = 128;
  const Results one = runOnCpu(variant.token.program, call, options);
  for (const int threads : {2, 7})
    for (const int slice : {1, 32}) {
      options.threads = threads;
      options.slice = slice;
      expectClose(runOnCpu(variant.token.program, call, options), one, 0, "threads, slices");
    }
}

TEST(CpuCall, AKernelIsCalledFromSeveralThreads) {
  const CompiledVariant variant = compileLibrary("delta_net");
  const Arguments arguments = randomCall(variant, {1, 40, 2}, {{"K", 8}, {"V", 16}});
  const cpu::Kernel kernel(variant.token.program, {arguments.dims, {}, 0});
  std::map<std::string, std::vector<float>> inputs;
  for (const auto& [name, tensor] : arguments.inputs)
    inputs[name] = {tensor.data.begin(), tensor.data.end()};
  std::vector<std::vector<float>> outputs(4, std::vector<float>(40UL * 2 * 16));
  const auto run = [&](std::vector<float>& output) {
    cpu::Call call;
    for (auto& [name, data] : inputs)
      (name == "S" ? call.initial : call.tensors)[name] =
          cpu::contiguous(data.data(), DType::f32, arguments.inputs.at(name).shape);
    call.tensors["o"] = cpu::contiguous(output.data(), DType::f32, {1, 40, 2, 16});
    call.threads = 2;
    for (int repeat = 0; repeat < 20; ++repeat)
      kernel.run(call);
  };
  std::vector<std::thread> callers;
  for (std::vector<float>& output : outputs)
    callers.emplace_back(run, std::ref(output));
  for (std::thread& caller : callers)
    caller.join();
  for (const std::vector<float>& output : outputs)
    EXPECT_EQ(output, outputs[0]);
  EXPECT_GT(outputs[0][5] * outputs[0][5], 0);
}

TEST(CpuCall, ConstantsCanBeOverridden) {
  const CompiledVariant variant = compileLibrary("retnet");
  Arguments call = randomCall(variant, {1, 8, 2}, {{"K", 8}, {"V", 8}});
  roundInputs(call, {});
  call.constants["scale"] = 0.75;
  expectClose(runOnCpu(variant.token.program, call), interpret(variant, call, 0, 1), tolerance,
              "scale 0.75");
}

/// Values of up to three dimensions, sums over each of them, tensors of two, a position.
TEST(CpuCall, ValuesOfAnyRank) {
  const CompiledVariant variant = compileOne(R"(variant v(A, K, V) {
    input a[A], k[K], v[V], W[K, V], f
    param P[K, A]
    state S[A, V], M[K, V], z[K]
    let   X = tanh(a * k * v + sigmoid(f) * S)
    S <- sigmoid(f) * S + 0.1 * (k @ X)
    M <- tanh(0.5 * M + 0.1 * W) + 0.1 * (a @ X)
    z <- 0.5 * z + M @ softmax(v)
    output o[K, V] = a @ X + exp(P @ a) * W
    output p[V] = z @ M + position
    output r = sum(z)
    output w[A] = (X @ v) @ k
    output s[K, A] = X @ v
  })");
  for (const int size : {3, 18}) {
    Arguments call = randomCall(variant, {2, 11, 2}, {{"A", 3}, {"K", 5}, {"V", size}});
    roundInputs(call, {});
    expectClose(runOnCpu(variant.token.program, call), interpret(variant, call, 0, 1), tolerance,
                "V = " + std::to_string(size));
  }
}

/// rope and taylor2, forward and in the adjoint, for sizes that are no multiple of a vector.
TEST(CpuCall, FeaturesMixElements) {
  const CompiledVariant variant = compileOne(R"(variant v(K, F = taylor2(K), V) {
    input q[K], k[K], v[V]
    state S[F, V], R[K, V]
    S <- 0.9 * S + taylor2(k) * v
    R <- 0.9 * R + rope(k) * v
    output o[V] = taylor2(q) @ S
    output p[V] = rope(q) @ R
  })");
  for (const int size : {4, 16, 18, 34}) {
    const std::map<std::string, int> dims = sizesOf(variant, {size, 20});
    for (const reference::Program* program : {&variant.token.program, &variant.gradient.program}) {
      const Arguments call = randomCall(*program, {}, {1, 300, 2}, dims);
      expectClose(runOnCpu(*program, call), reference::interpret(*program, call, 1, 1), tolerance,
                  "K = " + std::to_string(size));
    }
  }
}

/// Every elementwise function, far from and near to zero.
TEST(CpuCall, FunctionsArePrecise) {
  const CompiledVariant variant = compileOne(R"(variant v(K) {
    input x[K]
    state n[K]
    n <- n + 1
    output a[K] = exp(x)
    output b[K] = log(abs(x))
    output c[K] = tanh(x)
    output d[K] = sigmoid(x)
    output e[K] = logsigmoid(x)
    output f[K] = softplus(x)
    output g[K] = silu(x)
    output h[K] = elu(x)
    output i[K] = rsqrt(abs(x)) + sqrt(abs(x))
    output j[K] = clamp(x, -1, 1) + relu(x)
    output m[K] = n
  })");
  Arguments call;
  call.dims = {{"K", 400}};
  Tensor& x = call.inputs["x"] = {{1, 1, 1, 400}, {}};
  for (int i = 0; i < 400; ++i)
    x.data.push_back((i % 2 ? 1 : -1) * 80.0 * std::pow(0.93, i / 2));
  roundInputs(call, {});
  const Results expected = interpret(variant, call, 0, 1);
  const Results found = runOnCpu(variant.token.program, call);
  for (const auto& [name, tensor] : expected.outputs)
    for (std::size_t i = 0; i < tensor.data.size(); ++i)
      EXPECT_NEAR(found.outputs.at(name).data[i], tensor.data[i],
                  4e-7 * std::abs(tensor.data[i]) + 1e-37)
          << name << " at " << x.data[i];
}

}  // namespace
}  // namespace lathe::test
