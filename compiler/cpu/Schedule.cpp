#include "compiler/cpu/Schedule.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace lathe::cpu {

using reference::Declaration;
using reference::Instruction;
using reference::Program;
using Kind = Instruction::Kind;

namespace {

bool has(const Dims& dims, const std::string& dim) {
  return std::find(dims.begin(), dims.end(), dim) != dims.end();
}

bool isReduction(const Instruction& instruction) {
  return instruction.kind == Kind::sum || instruction.kind == Kind::max ||
         instruction.kind == Kind::contract;
}

/// Evaluated element by element.
bool isElementwise(const Instruction& instruction) {
  return instruction.kind == Kind::map || instruction.kind == Kind::broadcast ||
         instruction.kind == Kind::runningMax;
}

/// Every element of the result needs others than its own of the operands.
bool isFeature(const Instruction& instruction) {
  return instruction.kind == Kind::rotate || instruction.kind == Kind::taylor ||
         instruction.kind == Kind::taylorAdjoint;
}

/// The dimensions of several values, in the order of memory.
Dims unite(const std::vector<Dims>& values, const std::vector<int>& some, const Dims& order) {
  Dims all;
  for (const std::string& dim : order)
    if (std::any_of(some.begin(), some.end(), [&](int value) { return has(values[value], dim); }))
      all.push_back(dim);
  return all;
}

/// Loops over one dimension that follow each other; a value joins the first loop over its dimension
/// in which all that it needs is known.
class LoopFusion {
public:
  LoopFusion(const Program& program, std::vector<Step>& steps)
      : program(program), steps(steps), first(steps.size()),
        placeOf(program.values.size(), Place()) {}

  void add(int value, const Dims& space, const Instruction& instruction) {
    const std::string dim = space.empty() ? "" : space[0];
    const std::size_t place = find(dim, instruction.args);
    steps[place].loop.values.push_back(value);
    placeOf[value] = {true, place, dim, isReduction(instruction) && !dim.empty()};
  }

  void addFeature(int value) {
    placeOf[value] = {true, steps.size(), "", true};
    steps.push_back({Step::Kind::feature, {}, {}, {-1, value}});
  }

  void addOutput(int declaration, const Dims& dims) {
    const std::string dim = dims.empty() ? "" : dims[0];
    const std::size_t place = find(dim, {program.declarations[declaration].value});
    steps[place].loop.outputs.push_back(declaration);
  }

private:
  struct Place {
    bool isHere = false;  ///< Computed by one of these loops.
    std::size_t step = 0;
    std::string dim;
    bool isAfter = false;  ///< Known when the loop has ended.
  };

  std::size_t find(const std::string& dim, const std::vector<int>& args) {
    std::size_t earliest = first;
    for (int arg : args) {
      const Place& place = placeOf[arg];
      const bool isJoinable = place.dim == dim && !place.isAfter;
      if (place.isHere)
        earliest = std::max(earliest, place.step + (isJoinable ? 0 : 1));
    }
    for (std::size_t i = earliest; i < steps.size(); ++i)
      if (steps[i].kind == Step::Kind::loop && steps[i].loop.dim == dim)
        return i;
    steps.push_back({Step::Kind::loop, {}, {dim, {}, {}, {}}, {}});
    return steps.size() - 1;
  }

  const Program& program;
  std::vector<Step>& steps;
  std::size_t first;
  std::vector<Place> placeOf;
};

class Scheduling {
public:
  Scheduling(const Program& program, const Sweep& sweep, bool withOutputs)
      : program(program), order(memoryOrder(program)) {
    schedule.reverse = sweep.reverse;
    schedule.updates = sweep.updates;
    schedule.reads = sweep.reads;
    if (withOutputs)
      schedule.outputs = sweep.outputs;
    std::vector<int> roots;
    for (const std::vector<int>* some : {&schedule.updates, &schedule.outputs})
      for (int root : *some)
        roots.push_back(program.declarations[root].value);
    schedule.needed = neededValues(program, roots);
    for (const Dims& dims : program.values) {
      std::vector<Dims> one{dims};
      schedule.dims.push_back(unite(one, {0}, order));
    }
  }

  Schedule run() {
    classify();
    findLevels();
    placePasses();
    emit(true, schedule.head);
    emit(false, schedule.token);
    addFinalLoops();
    return std::move(schedule);
  }

private:
  std::size_t rank(int value) const { return schedule.dims[value].size(); }
  const Instruction& definition(int value) const {
    return program.instructions[definitionOf[value]];
  }

  /// Maps of several dimensions are expressions, except those that no token changes.
  void classify() {
    definitionOf = definitions(program);
    schedule.isInline.assign(program.values.size(), false);
    for (const Instruction& instruction : program.instructions) {
      const int value = instruction.results[0];
      const bool isMap = instruction.kind == Kind::map || instruction.kind == Kind::broadcast;
      schedule.isInline[value] = instruction.kind == Kind::literal ||
                                 instruction.kind == Kind::dimension ||
                                 (isMap && rank(value) > 1 && !instruction.perHead);
    }
  }

  Dims spaceOf(const Instruction& instruction) const {
    return unite(schedule.dims, instruction.args, order);
  }

  bool takesPass(const Instruction& instruction) const {
    if (isElementwise(instruction))
      return rank(instruction.results[0]) > 1 && !schedule.isInline[instruction.results[0]];
    return isReduction(instruction) && spaceOf(instruction).size() > 1;
  }

  void findLevels() {
    level.assign(program.values.size(), 0);
    for (const Instruction& instruction : program.instructions) {
      int highest = 0;
      for (int arg : instruction.args)
        if (definition(arg).perHead == instruction.perHead)
          highest = std::max(highest, level[arg]);
      level[instruction.results[0]] = highest + (takesPass(instruction) ? 1 : 0);
    }
  }

  Pass& passAt(bool perHead, int level, const Dims& space) {
    for (Placed& placed : passes)
      if (placed.perHead == perHead && placed.level == level && placed.pass.space == space)
        return placed.pass;
    passes.push_back({perHead, level, {space, {}, {}, {}}});
    return passes.back().pass;
  }

  /// Every state of several dimensions that a value reads.
  std::vector<int> statesOf(int value) const {
    std::vector<int> states;
    if (definition(value).kind == Kind::state && rank(value) > 1)
      states.push_back(findDeclaration(program, Declaration::Kind::state, definition(value).name));
    if (schedule.isInline[value])
      for (int arg : definition(value).args)
        for (int state : statesOf(arg))
          states.push_back(state);
    return states;
  }

  void placePasses() {
    std::map<int, int> lastRead;  // Of each state: the last level at which its old value is read.
    const auto read = [&](int value, const Dims& space, int at) {
      for (int state : statesOf(value)) {
        const bool isSame = space == schedule.dims[program.declarations[state].value];
        int& last = lastRead.try_emplace(state, 0).first->second;
        last = std::max(last, at + (isSame ? 0 : 1));
      }
    };
    for (const Instruction& instruction : program.instructions) {
      const int value = instruction.results[0];
      if (!schedule.needed[value] || !takesPass(instruction))
        continue;
      const bool fills = !isReduction(instruction);
      const Dims space = fills ? schedule.dims[value] : spaceOf(instruction);
      Pass& pass = passAt(instruction.perHead, level[value], space);
      (fills ? pass.fills : pass.reductions).push_back(value);
      for (int arg : instruction.args)
        read(arg, space, level[value]);
    }
    placeOutputs(read);
    placeUpdates(lastRead);
  }

  template <typename Read> void placeOutputs(const Read& read) {
    for (int output : schedule.outputs) {
      const int value = program.declarations[output].value;
      if (rank(value) < 2)
        continue;
      if (schedule.isInline[value] || definition(value).kind == Kind::state) {
        const int at = level[value] + 1;
        std::vector<int>& fills = passAt(false, at, schedule.dims[value]).fills;
        if (std::find(fills.begin(), fills.end(), value) == fills.end())
          fills.push_back(value);
        read(value, schedule.dims[value], at);
      }
    }
  }

  /// A new state goes where the old one was, so that it waits until all have read that; states
  /// that read each other are stored in one pass.
  void placeUpdates(const std::map<int, int>& lastRead) {
    std::map<int, int> at;
    for (int state : schedule.updates) {
      const int value = program.declarations[state].value;
      if (rank(value) < 2)
        continue;
      const auto last = lastRead.find(state);
      at[state] = std::max(level[value] + 1, last == lastRead.end() ? 0 : last->second);
    }
    for (bool isDelayed = true; isDelayed;) {
      isDelayed = false;
      for (const auto& [state, own] : at)
        for (int other : statesOf(program.declarations[state].value))
          if (const auto found = at.find(other); found != at.end() && found->second < own) {
            found->second = own;
            isDelayed = true;
          }
    }
    for (const auto& [state, own] : at)
      passAt(false, own, schedule.dims[program.declarations[state].value]).updates.push_back(state);
  }

  void emit(bool perHead, std::vector<Step>& steps) {
    int last = 0;
    for (const Placed& placed : passes)
      if (placed.perHead == perHead)
        last = std::max(last, placed.level);
    for (int at = 0; at <= last; ++at) {
      if (at == 0)
        addLoads(perHead, steps);
      for (const Placed& placed : passes)
        if (placed.perHead == perHead && placed.level == at)
          steps.push_back({Step::Kind::pass, placed.pass, {}, {}});
      addLoops(perHead, at, steps);
    }
    if (!perHead)
      for (int output : schedule.outputs)
        if (rank(program.declarations[output].value) > 1)
          steps.push_back(
              {Step::Kind::store, {}, {}, {output, program.declarations[output].value}});
  }

  static bool isTensor(const Instruction& instruction) {
    return instruction.kind == Kind::input || instruction.kind == Kind::param;
  }

  void addLoads(bool perHead, std::vector<Step>& steps) {
    for (const Instruction& instruction : program.instructions) {
      const int value = instruction.results[0];
      if (!schedule.needed[value] || instruction.perHead != perHead || !isTensor(instruction) ||
          rank(value) < 2)
        continue;
      const auto kind =
          instruction.kind == Kind::input ? Declaration::Kind::input : Declaration::Kind::param;
      steps.push_back(
          {Step::Kind::load, {}, {}, {findDeclaration(program, kind, instruction.name), value}});
    }
  }

  void addLoops(bool perHead, int at, std::vector<Step>& steps) {
    LoopFusion fusion(program, steps);
    for (const Instruction& instruction : program.instructions) {
      const int value = instruction.results[0];
      if (!schedule.needed[value] || instruction.perHead != perHead || level[value] != at ||
          takesPass(instruction) || schedule.isInline[value] || instruction.kind == Kind::state ||
          (isTensor(instruction) && rank(value) > 1))
        continue;
      if (isFeature(instruction)) {
        fusion.addFeature(value);
        continue;
      }
      fusion.add(value, isReduction(instruction) ? spaceOf(instruction) : schedule.dims[value],
                 instruction);
    }
    if (perHead)
      return;
    for (int output : schedule.outputs) {
      const int value = program.declarations[output].value;
      if (rank(value) < 2 && (definition(value).perHead ? 0 : level[value]) == at)
        fusion.addOutput(output, schedule.dims[value]);
    }
  }

  /// Small states are read by anything in the token, so that they change at its end.
  void addFinalLoops() {
    std::map<std::string, std::vector<int>> updates;
    for (int state : schedule.updates) {
      const Dims& dims = schedule.dims[program.declarations[state].value];
      if (dims.size() < 2)
        updates[dims.empty() ? "" : dims[0]].push_back(state);
    }
    for (auto& [dim, states] : updates)
      schedule.token.push_back({Step::Kind::loop, {}, {dim, {}, {}, std::move(states)}, {}});
  }

  struct Placed {
    bool perHead;
    int level;
    Pass pass;
  };

  const Program& program;
  Dims order;
  Schedule schedule;
  std::vector<int> definitionOf;
  std::vector<int> level;  ///< How many passes a value needs before it.
  std::vector<Placed> passes;
};

}  // namespace

Dims memoryOrder(const Program& program) {
  std::map<std::string, int> reductions;
  for (const Instruction& instruction : program.instructions) {
    if (!isReduction(instruction))
      continue;
    Dims space = unite(program.values, instruction.args, program.dims);
    if (space.size() > 1)
      ++reductions[instruction.name];
  }
  Dims order = program.dims;
  std::stable_sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
    return reductions[a] > reductions[b];
  });
  return order;
}

Schedule makeSchedule(const Program& program, const Sweep& sweep, bool withOutputs) {
  return Scheduling(program, sweep, withOutputs).run();
}

}  // namespace lathe::cpu
