#include "compiler/cpu/Sweep.h"

#include <algorithm>

namespace lathe::cpu {

using reference::Declaration;
using reference::Instruction;
using reference::Program;

std::vector<int> definitions(const Program& program) {
  std::vector<int> definition(program.values.size(), -1);
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    for (int result : program.instructions[i].results)
      definition[result] = static_cast<int>(i);
  return definition;
}

std::vector<bool> neededValues(const Program& program, const std::vector<int>& roots) {
  std::vector<bool> needed(program.values.size(), false);
  for (int root : roots)
    needed[root] = true;
  for (auto it = program.instructions.rbegin(); it != program.instructions.rend(); ++it)
    if (std::any_of(it->results.begin(), it->results.end(), [&](int i) { return needed[i]; }))
      for (int arg : it->args)
        needed[arg] = true;
  return needed;
}

int findDeclaration(const Program& program, Declaration::Kind kind, const std::string& name) {
  for (std::size_t i = 0; i < program.declarations.size(); ++i)
    if (program.declarations[i].kind == kind && program.declarations[i].name == name)
      return static_cast<int>(i);
  return -1;
}

namespace {

/// Adds the sweeps that hold the states that `sweep` reads, each after those that it needs itself.
void addRecomputed(const std::vector<Sweep>& sweeps, const Sweep& sweep, std::vector<int>& all) {
  for (std::size_t n = 0; n < sweeps.size(); ++n) {
    const bool isRead = std::any_of(sweep.reads.begin(), sweep.reads.end(), [&](int state) {
      return std::find(sweeps[n].updates.begin(), sweeps[n].updates.end(), state) !=
             sweeps[n].updates.end();
    });
    const int index = static_cast<int>(n);
    if (!isRead || std::find(all.begin(), all.end(), index) != all.end())
      continue;
    addRecomputed(sweeps, sweeps[n], all);
    all.push_back(index);
  }
}

}  // namespace

std::vector<Sweep> sweepsOf(const Program& program) {
  std::vector<Sweep> sweeps;
  for (const reference::SweepPlan& plan : program.sweeps) {
    Sweep sweep{plan.reverse, plan.updated, plan.given, plan.outputs, {}};
    addRecomputed(sweeps, sweep, sweep.recomputed);
    sweeps.push_back(std::move(sweep));
  }
  return sweeps;
}

}  // namespace lathe::cpu
