#include "bench/Cases.h"
#include "bench/Support.h"
#include "compiler/spec/Parser.h"
#include "runtime/Nvrtc.h"

namespace lathe::bench {

namespace {

void parse(benchmark::State& state, const std::string& variant) {
  const std::string text = textOf(variant);
  for (auto _ : state) {
    Diagnostics diagnostics;
    benchmark::DoNotOptimize(spec::parse(text, diagnostics));
  }
}

void specToPlan(benchmark::State& state, const std::string& variant) {
  const std::string text = textOf(variant);
  for (auto _ : state)
    benchmark::DoNotOptimize(compileText(text, variant));
}

void planToSource(benchmark::State& state, const std::string& variant) {
  const Plan plan = compileText(textOf(variant), variant).plan;
  const Device device = targetDevice();
  for (auto _ : state)
    benchmark::DoNotOptimize(defaultKernel(plan, device));
}

/// All that the first call of a variant ever waits for, but the driver. Nothing is cached.
void specToCubin(benchmark::State& state, const std::string& variant) {
  const std::string text = textOf(variant);
  const Device device = targetDevice();
  const Nvrtc& nvrtc = Nvrtc::get();
  for (auto _ : state) {
    const CompiledVariant compiled = compileText(text, variant);
    const KernelSource source = defaultKernel(compiled.plan, device).source;
    benchmark::DoNotOptimize(nvrtc.compile(source.text, source.entry, device.arch));
  }
}

}  // namespace

void registerCompilation() {
  forEachVariant("parse", benchmark::kMicrosecond, parse);
  forEachVariant("spec_to_plan", benchmark::kMillisecond, specToPlan);
  forEachVariant("plan_to_source", benchmark::kMillisecond, planToSource);
  forEachVariant("spec_to_cubin_cold", benchmark::kMillisecond, specToCubin);
}

}  // namespace lathe::bench
