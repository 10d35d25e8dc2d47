// What is measured: the cases of a suite, one case at a time, and their record.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Space.h"
#include "runtime/Device.h"
#include "tuner/Measure.h"
#include "tuner/Tuner.h"

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

namespace lathe::tool {

/// One call that is timed.
struct BenchCase {
  std::string variant;  ///< FILE: a path or the name of a library variant.
  Shape shape;
  std::map<std::string, int> dims;
  DType dtype = DType::bf16;
  std::map<std::string, int> heads;  ///< Inputs with fewer heads than the call.
  bool isBackward = false;
  std::set<std::string> fixed =
      {};  ///< Inputs, params and consts whose gradients are not asked for.
};

/// The cases of a named suite. Throws UsageError for one that is unknown.
std::vector<BenchCase> suiteOf(const std::string& name);

/// One row of bench/results: microseconds with a cold L2, and the share of the copy ceiling.
struct BenchRow {
  std::string variant, family, form, pass, tile;
  std::set<std::string> fixed;  ///< As of BenchCase.
  Shape shape;
  std::map<std::string, int> dims;
  DType dtype = DType::bf16;
  Timing time;
  double minBytes = 0;      ///< Inputs and states read once, outputs and states written once.
  double ceilingShare = 0;  ///< Of the bandwidth of a copy on the same GPU.
};

/// A run of the benchmark, in the form of bench/results/*.json.
struct BenchRecord {
  std::string machine, driver, commit, date, command;
  double copyGBps = 0;
  std::vector<BenchRow> rows;
};

nlohmann::json toJson(const BenchRecord& record);

/// The version of the driver, of the kernel module where it says so.
std::string driverText(const DeviceInfo& gpu);

struct BenchMethod {
  double copyGBps = 0;
  double tuneSeconds = 30;  ///< For a case that was not tuned yet; 0: the model's tile.
  int repeats = 50;
  std::string tile;  ///< Instead of the tuned one.
  std::function<void(const std::string& step, int done, int total)> progress;
};

/// Chooses a tile, compiles, and times launches. A forward call starts from zero and writes its
/// final states; a step reads and overwrites them. Throws Error.
BenchRow measure(const BenchCase& benchCase, const CompiledVariant& variant,
                 const Signature& signature, Family family, const DeviceInfo& gpu,
                 const BenchMethod& method);

/// As `measure`, of the backward pass: from the gradients of the outputs to those of all inputs,
/// params and consts that are not fixed. Throws UsageError for a fixed name that is none of these.
BenchRow measureBackward(const BenchCase& benchCase, const CompiledVariant& variant,
                         const Signature& signature, const DeviceInfo& gpu,
                         const BenchMethod& method);

}  // namespace lathe::tool
