// Tuning of the CPU target: threads, the slice of the vector dimension, and the spacing of saved
// states, each measured on this processor.
#pragma once

#include "compiler/Compile.h"
#include "tuner/CpuCall.h"
#include "tuner/Tuner.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lathe {

/// What is tuned; exact but for the shape, which counts by its bucket.
struct CpuProblem {
  const CompiledVariant* variant = nullptr;
  bool isGradient = false;
  Signature signature;
  Shape shape;

  /// Forward as the CPU target runs it, or the adjoint.
  const reference::Program& program() const;
  cpu::Target target(int slice) const;
};

/// 0: the default of compiler/cpu/Cpu.h.
struct CpuChoice {
  int threads = 0, slice = 0, spacing = 0;

  auto operator<=>(const CpuChoice&) const = default;
};

std::string toString(const CpuChoice& choice);  ///< "2 threads, slice 64, spacing 8"

struct CpuTrial {
  CpuChoice choice;
  Trial::Outcome outcome = Trial::Outcome::slower;
  double microseconds = 0, mad = 0;  ///< 0 where it was not timed.
  double error = 0;                  ///< The largest error ratio against the interpreter.
};

struct CpuTuningResult {
  CpuChoice winner;
  double microseconds = 0, mad = 0;
  std::vector<CpuTrial> trials;  ///< In canonical order.
  double seconds = 0;            ///< That tuning took.
};

/// The winners on this processor, in one JSON file beside those of GPUs (Database). Never fatal: a
/// damaged file counts as absent, and a folder that cannot be written keeps nothing, each with a
/// warning.
class CpuRecords {
public:
  /// `folder` as of Database.
  explicit CpuRecords(const std::string& folder = "");

  /// The winner of the same bucket, else, unless `exact`, of the nearest one there is.
  std::optional<CpuChoice> find(const CpuProblem& problem, bool exact = false) const;
  void store(const CpuProblem& problem, const CpuTuningResult& result);

  const std::filesystem::path& file() const { return path; }  ///< Empty: nothing is kept.

private:
  std::filesystem::path path;
};

/// What was tuned for about this shape; else the defaults. LATHE_TUNING=off: the defaults.
CpuChoice chooseCpu(const CpuProblem& problem, const CpuRecords& records);

/// Compiles, checks and times every candidate, as many as the budget allows, the default first;
/// stores and returns the winner. `progress` as in TuneOptions. Throws Error where none is right.
CpuTuningResult tuneCpu(const CpuProblem& problem, CpuRecords& records, double budgetSeconds,
                        const std::function<void(const std::string&, int, int)>& progress = {});

}  // namespace lathe
