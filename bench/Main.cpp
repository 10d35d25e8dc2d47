// Host times, by Google Benchmark: what a first call, a first call of a process, and a warm call
// cost beside the kernel. Times of kernels: lathe bench.
#include "bench/Cases.h"

#include <benchmark/benchmark.h>

int main(int argc, char** argv) {
  if (lathe::bench::runAsChild(argc, argv))
    return 0;
  lathe::bench::registerCompilation();
  lathe::bench::registerCache();
  lathe::bench::registerProcess();
  lathe::bench::registerLaunch();
  lathe::bench::registerInterpreter();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
