// The CPU target, at the shape of a small model: B1 T2048 H4 K=V=128, fp32. bench/cpu_torch.py
// times the same in eager PyTorch.
#include "compiler/cpu/Cpu.h"

#include "compiler/Compile.h"

#include <benchmark/benchmark.h>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

namespace lathe::bench {
namespace {

using reference::Declaration;

constexpr std::int64_t batch = 1, tokens = 2048, heads = 4;
constexpr int size = 128;

CompiledVariant compileLibrary(const std::string& name) {
  std::ifstream file(std::string(LATHE_SOURCE_DIR) + "/variants/" + name + ".lathe");
  std::ostringstream text;
  text << file.rdbuf();
  Diagnostics diagnostics;
  std::vector<CompiledVariant> compiled = compile(text.str(), name + ".lathe", diagnostics);
  if (compiled.size() != 1)
    throw std::runtime_error(name + " does not compile; lathe check says why");
  return std::move(compiled[0]);
}

/// Memory for every tensor of a program: gates a little below zero, the rest normal numbers.
class Tensors {
public:
  Tensors(const reference::Program& program, const Plan& plan) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (const Declaration& declaration : program.declarations) {
      std::vector<std::int64_t> shape{batch, tokens, heads};
      if (declaration.kind == Declaration::Kind::param)
        shape = {heads};
      else if (declaration.kind == Declaration::Kind::state ||
               declaration.kind == Declaration::Kind::constant)
        continue;
      std::size_t count = 1;
      for (const std::string& dim : declaration.stored)
        shape.push_back(target.dims[dim] = size);
      for (std::int64_t extent : shape)
        count *= static_cast<std::size_t>(extent);
      std::vector<float>& data = memory[declaration.name];
      data.resize(count);
      for (float& element : data)
        element =
            isLog(plan, declaration.name) ? -0.05f * std::abs(normal(random)) : normal(random);
      call.tensors[declaration.name] = cpu::contiguous(data.data(), DType::f32, shape);
    }
  }

  cpu::Target target;
  cpu::Call call;

private:
  static bool isLog(const Plan& plan, const std::string& name) {
    for (const Operand& operand : plan.operands)
      if (operand.name == name)
        return operand.log;
    return false;
  }

  std::map<std::string, std::vector<float>> memory;
};

void forward(benchmark::State& state, const std::string& name) {
  const CompiledVariant variant = compileLibrary(name);
  Tensors tensors(variant.token.program, variant.plan);
  tensors.target.slice = static_cast<int>(state.range(1));
  const cpu::Kernel kernel(variant.token.program, tensors.target);
  tensors.call.threads = static_cast<int>(state.range(0));
  for (auto _ : state)
    kernel.run(tensors.call);
  state.counters["slice"] = kernel.slice();
}

/// Forward, then the adjoint, which computes the states again.
void training(benchmark::State& state, const std::string& name) {
  const CompiledVariant variant = compileLibrary(name);
  Tensors primal(variant.token.program, variant.plan);
  Tensors adjoint(variant.gradient.program, variant.plan);
  const cpu::Kernel forward(variant.token.program, primal.target);
  const cpu::Kernel backward(variant.gradient.program, adjoint.target);
  primal.call.threads = adjoint.call.threads = static_cast<int>(state.range(0));
  adjoint.call.spacing = static_cast<int>(state.range(1));
  for (auto _ : state) {
    forward.run(primal.call);
    backward.run(adjoint.call);
  }
}

void compilation(benchmark::State& state, const std::string& name) {
  const CompiledVariant variant = compileLibrary(name);
  const Tensors tensors(variant.token.program, variant.plan);
  for (auto _ : state)
    benchmark::DoNotOptimize(cpu::Kernel(variant.token.program, tensors.target));
}

void registerAll() {
  for (const std::string name : {"retnet", "gla", "gated_delta_net"}) {
    benchmark::RegisterBenchmark(("cpu_compile/" + name).c_str(), compilation, name)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("cpu_forward/" + name).c_str(), forward, name)
        ->ArgNames({"threads", "slice"})
        ->Args({1, 0})
        ->Args({2, 0})
        ->Args({2, 32})
        ->Args({2, 128})
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("cpu_training/" + name).c_str(), training, name)
        ->ArgNames({"threads", "spacing"})
        ->Args({1, 0})
        ->Args({2, 0})
        ->Args({2, 4})
        ->Args({2, 32})
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace lathe::bench

int main(int argc, char** argv) {
  lathe::bench::registerAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
