// The search of the tuner without its GPU: which candidate is compiled, checked, timed, how often,
// and which one wins.
#pragma once

#include "tuner/Measure.h"
#include "tuner/Verify.h"

#include <span>
#include <string>
#include <vector>

namespace lathe {

/// A kernel that left the GPU unusable for this process.
class DeviceLost : public Error {
public:
  using Error::Error;
};

/// What the search asks of the world. Tiles are named by their place among the candidates.
class Laboratory {
public:
  virtual ~Laboratory() = default;

  /// The sourceDigest of a candidate's kernel.
  virtual std::string digest(int tile) = 0;
  /// Compiles a candidate; bytes of local memory that it spills to. Called from several threads.
  /// Throws Error where it does not compile.
  virtual int compile(int tile) = 0;
  /// Makes what all candidates share: called once, before the first of them runs. What it throws is
  /// no candidate's fault and ends the search.
  virtual void setUp() = 0;
  /// Throws Error, or DeviceLost.
  virtual Verdict verify(int tile) = 0;
  /// Microseconds of `repeats` launches, or of fewer where they take long. Throws Error, or
  /// DeviceLost.
  virtual std::vector<double> sample(int tile, int repeats) = 0;
};

/// What is kept between runs: see Database.
class Journal {
public:
  virtual ~Journal() = default;
  virtual std::vector<Trial> known() const = 0;
  virtual void note(const Trial& trial) = 0;
};

/// The first of the timings, which are in canonical order, that is as fast as the fastest: within
/// 1 % or twice its median absolute deviation. So ranks and boots agree.
std::size_t firstOfTie(std::span<const Timing> timings);

/// Runs the search over the candidates, best first by the model. Throws Error where no candidate is
/// right and where the GPU was lost.
TuningResult search(const Candidates& candidates, Laboratory& laboratory, Journal& journal,
                    const TuneOptions& options);

}  // namespace lathe
