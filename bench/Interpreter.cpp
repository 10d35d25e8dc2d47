#include "bench/Cases.h"
#include "bench/Support.h"
#include "tools/lathe/KernelOptions.h"
#include "tuner/Oracle.h"

namespace lathe::bench {

namespace {

constexpr std::int64_t tokens = 64;

/// One thread: one batch, one head, K = V = 64.
void interpretWith(benchmark::State& state, const std::string& variant, int chunk) {
  constexpr int size = 64;
  const CompiledVariant compiled = compileText(textOf(variant), variant);
  Signature signature = tool::parseSignature({}, compiled.plan);
  for (auto& [dim, count] : signature.dims)
    count = size;
  const Shape shape{1, tokens, 1};
  const HostCall call = draw(compiled.plan, signature, shape, {});
  for (auto _ : state)
    benchmark::DoNotOptimize(interpretCall(compiled, signature.dims, shape, call, {}, chunk));
  state.counters["per_token"] =
      benchmark::Counter(double(state.iterations() * tokens),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

}  // namespace

void registerInterpreter() {
  forEachVariant("interpreter_token_by_token", benchmark::kMicrosecond,
                 [](benchmark::State& state, const std::string& variant) {
                   interpretWith(state, variant, 0);
                 });
  forEachVariant("interpreter_in_chunks", benchmark::kMicrosecond,
                 [](benchmark::State& state, const std::string& variant) {
                   constexpr int chunk = 16;
                   interpretWith(state, variant, chunk);
                 });
}

}  // namespace lathe::bench
