#include "compiler/cpu/Sweep.h"

#include <algorithm>
#include <stdexcept>

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

/// The number of the sweep of every state and output: the first of its direction in which all that
/// it needs is known.
class Splitting {
public:
  explicit Splitting(const Program& program)
      : program(program), sweepOf(program.declarations.size(), 0) {
    for (std::size_t i = 0; i < program.declarations.size(); ++i) {
      const Declaration& declaration = program.declarations[i];
      readStates.push_back(isRoot(declaration) ? statesOf(declaration.value) : std::vector<int>());
      if (declaration.kind == Declaration::Kind::state && declaration.reverse)
        sweepOf[i] = 1;
    }
    while (delay()) {
    }
  }

  std::vector<Sweep> run() {
    const int last = *std::max_element(sweepOf.begin(), sweepOf.end());
    std::vector<Sweep> sweeps(static_cast<std::size_t>(last) + 1);
    for (int n = 0; n <= last; ++n) {
      Sweep& sweep = sweeps[n];
      sweep.reverse = n % 2 == 1;
      for (std::size_t i = 0; i < sweepOf.size(); ++i)
        if (sweepOf[i] == n && isRoot(program.declarations[i]))
          take(sweep, static_cast<int>(i), n);
      std::sort(sweep.reads.begin(), sweep.reads.end());
      for (int state : sweep.reads)
        addRecomputed(sweeps, sweep.recomputed, sweepOf[state]);
      std::sort(sweep.recomputed.begin(), sweep.recomputed.end());
    }
    return sweeps;
  }

private:
  static bool isRoot(const Declaration& declaration) {
    return declaration.kind == Declaration::Kind::state ||
           declaration.kind == Declaration::Kind::output;
  }

  std::vector<int> statesOf(int value) const {
    const std::vector<bool> needed = neededValues(program, {value});
    std::vector<int> states;
    for (const Instruction& instruction : program.instructions)
      if (instruction.kind == Instruction::Kind::state && needed[instruction.results[0]])
        states.push_back(findDeclaration(program, Declaration::Kind::state, instruction.name));
    return states;
  }

  bool delay() {
    bool isDelayed = false;
    for (std::size_t i = 0; i < sweepOf.size(); ++i) {
      const bool isState = program.declarations[i].kind == Declaration::Kind::state;
      int earliest = sweepOf[i];
      for (int state : readStates[i]) {
        const bool sameWay =
            !isState || program.declarations[state].reverse == program.declarations[i].reverse;
        earliest = std::max(earliest, sweepOf[state] + (sameWay ? 0 : 1));
      }
      if (earliest == sweepOf[i])
        continue;
      if (earliest > static_cast<int>(sweepOf.size()) + 1)
        throw std::invalid_argument(
            "variant " + program.variant + ": the state " + program.declarations[i].name +
            " needs states of the other direction that need it; a state may read those of the "
            "other direction only where they do not depend on it");
      sweepOf[i] = earliest;
      isDelayed = true;
    }
    return isDelayed;
  }

  void take(Sweep& sweep, int root, int n) const {
    const bool isState = program.declarations[root].kind == Declaration::Kind::state;
    (isState ? sweep.updates : sweep.outputs).push_back(root);
    for (int state : readStates[root])
      if (sweepOf[state] != n &&
          std::find(sweep.reads.begin(), sweep.reads.end(), state) == sweep.reads.end())
        sweep.reads.push_back(state);
  }

  static void addRecomputed(const std::vector<Sweep>& sweeps, std::vector<int>& all, int sweep) {
    if (std::find(all.begin(), all.end(), sweep) != all.end())
      return;
    all.push_back(sweep);
    for (int earlier : sweeps[sweep].recomputed)
      addRecomputed(sweeps, all, earlier);
  }

  const Program& program;
  std::vector<int> sweepOf;
  std::vector<std::vector<int>> readStates;  ///< Of each state and output.
};

}  // namespace

std::vector<Sweep> splitIntoSweeps(const Program& program) { return Splitting(program).run(); }

}  // namespace lathe::cpu
