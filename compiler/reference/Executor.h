// One program at fixed sizes, with the buffers of one batch and head.
#pragma once

#include "compiler/reference/Steps.h"

#include <cstdint>

namespace lathe::reference {

/// A tensor of the call at one batch and head: where its first element is, and how far its axes are
/// apart.
struct Place {
  double* data = nullptr;
  long token = 0;             ///< From one token to the next.
  std::vector<long> strides;  ///< Of the dimensions in the order of the program.
};

class Executor {
public:
  /// `tokens` is the length of a chunk, 1 for programs that go token by token. Both references must
  /// outlive it.
  Executor(const Program& program, Sizes sizes, long tokens,
           const std::map<std::string, double>& constants);
  Executor(const Executor&) = delete;

  /// Reads the params of a head and computes what all of its tokens share. Order of `places`:
  /// Program::declarations.
  void startHead(const std::vector<Place>& places);
  /// Runs one sweep over the tokens from `first` on, and leaves the new states that it updates in
  /// place of the old.
  void run(const SweepPlan& sweep, const std::vector<Place>& places, long first);

  /// The state of a declaration, as it stands.
  double* state(std::size_t declaration) { return slots[stateValue[declaration]].data; }
  long stateCount(std::size_t declaration) const { return count(stateValue[declaration]); }

private:
  void allocate();
  void bind(std::size_t at, const std::map<std::string, double>& constants);
  void load(std::size_t declaration, const Place& place, long first);
  void store(std::size_t declaration, const Place& place, long first) const;
  long count(int value) const { return countOf(slots[value].dims, sizes); }

  const Program& program;
  Sizes sizes;
  long tokens;
  std::vector<std::vector<double>> buffers;
  std::vector<Slot> slots;
  std::vector<Step> headSteps;
  std::vector<Step> tokenSteps;             ///< Of each instruction, or none.
  std::vector<int> inputValue, stateValue;  ///< Of each declaration, or -1.
  std::vector<int> positions;
  std::vector<std::vector<double>> staged;  ///< New states that other states' buffers hold.
};

}  // namespace lathe::reference
