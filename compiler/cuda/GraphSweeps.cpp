#include "compiler/cuda/GraphSweeps.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cuda {

namespace {

class Splitter {
public:
  explicit Splitter(const Graph& graph) : graph(graph) {
    for (auto [state, value] : graph.carried)
      waiting.insert(state);
    for (auto [output, value] : graph.outputs)
      unwritten.insert(output);
  }

  std::vector<GraphSweep> run() {
    bool reverse = false;
    for (int stuck = 0; !waiting.empty() && stuck < 2; reverse = !reverse) {
      std::set<int> moved = movable(reverse);
      stuck = moved.empty() ? stuck + 1 : 0;
      if (!moved.empty())
        take(moved, reverse);
    }
    if (!waiting.empty())
      throw std::invalid_argument("variant '" + graph.plan.variant +
                                  "': states of the two directions need each other");
    if (sweeps.empty())
      take({}, false);
    return std::move(sweeps);
  }

private:
  bool isDone(int state) const { return done.count(state) > 0; }

  /// The states of one direction that need nothing but each other and what is done.
  std::set<int> movable(bool reverse) const {
    std::set<int> found;
    for (int state : waiting)
      if (graph.plan.operands[state].reverse == reverse)
        found.insert(state);
    auto needsOthers = [&](int state) {
      const std::set<int>& needed = graph.statesOf(graph.carried.at(state));
      return std::any_of(needed.begin(), needed.end(),
                         [&](int other) { return !isDone(other) && !found.count(other); });
    };
    for (auto it = found.begin(); it != found.end();)
      if (needsOthers(*it)) {
        found.erase(it);
        it = found.begin();
      } else {
        ++it;
      }
    return found;
  }

  void take(const std::set<int>& moved, bool reverse) {
    sweeps.push_back({.reverse = reverse, .states = {moved.begin(), moved.end()}});
    earlier.push_back(done);
    done.insert(moved.begin(), moved.end());
    std::erase_if(waiting, [&](int state) { return moved.count(state) > 0; });
    const std::size_t own = sweeps.size() - 1;
    for (int state : sweeps[own].states)
      find(graph.carried.at(state), own);
    for (int output : std::set<int>(unwritten)) {
      if (!isWithin(graph.outputs.at(output), done))
        continue;
      unwritten.erase(output);
      sweeps[own].outputs.push_back(output);
      find(graph.outputs.at(output), own);
    }
  }

  bool isWithin(int value, const std::set<int>& some) const {
    const std::set<int>& needed = graph.statesOf(value);
    return std::includes(some.begin(), some.end(), needed.begin(), needed.end());
  }

  /// Gives to a sweep the last values on each path to `value` that depend on earlier states alone.
  /// What is made of a state element by element is made of it again: it is as large as the state.
  void find(int value, std::size_t sweep) {
    if (graph.statesOf(value).empty())
      return;
    const bool isMade = graph.values[value].isMap() && graph.values[value].isWide();
    if (isMade || !isWithin(value, earlier[sweep])) {
      for (int arg : graph.values[value].args)
        find(arg, sweep);
      return;
    }
    if (!sweeps[sweep].given.insert(value).second)
      return;
    // The first sweep that can compute a value keeps it.
    std::size_t keeper = 0;
    while (!isWithin(value, earlier[keeper + 1]))
      ++keeper;
    if (sweeps[keeper].kept.insert(value).second)
      find(value, keeper);
  }

  const Graph& graph;
  std::vector<GraphSweep> sweeps;
  std::vector<std::set<int>> earlier;  ///< The states of the sweeps before each.
  std::set<int> waiting, done, unwritten;
};

}  // namespace

std::vector<GraphSweep> sweepsOf(const Graph& graph) { return Splitter(graph).run(); }

std::vector<GraphSweep> replaysOf(const std::vector<GraphSweep>& sweeps, std::size_t last,
                                  const Columns& columns) {
  std::vector<GraphSweep> replays;
  std::set<int> wanted = sweeps[last].given;
  for (std::size_t i = last; i-- > 0;) {
    GraphSweep replay = sweeps[i];
    replay.outputs.clear();
    replay.columns = columns;
    std::erase_if(replay.kept, [&](int value) { return !wanted.count(value); });
    if (replay.kept.empty())
      continue;
    wanted.insert(replay.given.begin(), replay.given.end());
    replays.insert(replays.begin(), std::move(replay));
  }
  return replays;
}

}  // namespace lathe::cuda
