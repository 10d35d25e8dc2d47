#include "compiler/cuda/GraphSchedule.h"

#include <algorithm>

namespace lathe::cuda {

namespace {

struct Edge {
  int from, to;
  bool own, carried;
};

class Scheduler {
public:
  explicit Scheduler(const std::vector<Item>& items) : items(items), count(int(items.size())) {
    for (int i = 0; i < count; ++i) {
      for (const Item::Need& need : items[i].needs)
        edges.push_back({need.item, i, need.own, need.carried});
      // A state is only there while its loop runs: who reads it runs within, before it changes.
      for (int state : items[i].touches)
        for (int j = 0; j < count; ++j)
          if (items[j].what == Item::What::state && items[j].operand == state) {
            edges.push_back({j, i, true, true});
            if (i != j)
              edges.push_back({i, j, true, false});
          }
    }
  }

  Schedule run() {
    findLoops();
    findLevels();
    Schedule schedule;
    const int levels = count ? *std::max_element(level.begin(), level.end()) + 1 : 0;
    for (int at = 0; at < levels; ++at) {
      std::vector<int> together, looped;
      for (int i = 0; i < count; ++i)
        if (level[i] == at)
          (isLooped(i) ? looped : together).push_back(i);
      schedule.levels.emplace_back();
      if (!together.empty()) {
        Stage& stage = schedule.levels.back().emplace_back();
        stage.phases.emplace_back();
        for (int item : together)
          join(stage.phases.back(), item);
      }
      if (!looped.empty())
        schedule.levels.back().push_back(loopOf(looped));
    }
    return schedule;
  }

private:
  bool isLooped(int item) const { return loop[item] >= 0; }

  /// Items that reach each other, across tokens too, run in one loop.
  void findLoops() {
    std::vector<std::vector<char>> reaches(count, std::vector<char>(count));
    for (const Edge& edge : edges)
      reaches[edge.from][edge.to] = true;
    for (int via = 0; via < count; ++via)
      for (int i = 0; i < count; ++i)
        for (int j = 0; j < count; ++j)
          reaches[i][j] |= reaches[i][via] & reaches[via][j];
    loop.assign(count, -1);
    for (int i = 0; i < count; ++i)
      for (int j = 0; j < count && loop[i] < 0; ++j)
        if (reaches[i][j] && reaches[j][i])
          loop[i] = j;
  }

  /// Raises `at` of the end of every edge for which `weight` gives a distance, until nothing moves.
  template <class Weight> void relax(std::vector<int>& at, Weight weight) const {
    for (bool moved = true; moved;) {
      moved = false;
      for (const Edge& edge : edges)
        if (int distance = weight(edge); distance >= 0 && at[edge.to] < at[edge.from] + distance) {
          at[edge.to] = at[edge.from] + distance;
          moved = true;
        }
    }
  }

  void findLevels() {
    level.assign(count, 0);
    relax(level, [&](const Edge& edge) {
      if (isLooped(edge.from) && loop[edge.from] == loop[edge.to])
        return 0;
      return edge.own && !isLooped(edge.from) && !isLooped(edge.to) ? 0 : 1;
    });
  }

  Stage loopOf(const std::vector<int>& members) const {
    std::vector<char> isMember(count);
    for (int item : members)
      isMember[item] = true;
    Stage stage{.isLoop = true};
    std::vector<int> phase(count);
    relax(phase, [&](const Edge& edge) {
      bool within = isMember[edge.from] && isMember[edge.to] && !edge.carried;
      return !within ? -1 : edge.own ? 0 : 1;
    });
    for (int item : members) {
      if (int(stage.phases.size()) <= phase[item])
        stage.phases.resize(phase[item] + 1);
      join(stage.phases[phase[item]], item);
    }
    stage.barrierAfterToken =
        stage.phases.size() > 1 || std::any_of(edges.begin(), edges.end(), [&](const Edge& edge) {
          return edge.carried && !edge.own && isMember[edge.from] && isMember[edge.to];
        });
    return stage;
  }

  void join(std::vector<Group>& groups, int item) const {
    for (Group& group : groups)
      if (group.how == items[item].how && group.space == items[item].space) {
        group.items.push_back(item);
        return;
      }
    groups.push_back({items[item].how, items[item].space, {item}});
  }

  const std::vector<Item>& items;
  const int count;
  std::vector<Edge> edges;
  std::vector<int> loop;  ///< The first item of the loop that an item is in, or -1.
  std::vector<int> level;
};

}  // namespace

Schedule scheduleOf(const Items& items) { return Scheduler(items.items).run(); }

}  // namespace lathe::cuda
