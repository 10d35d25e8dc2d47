#include "compiler/reference/Executor.h"

#include <algorithm>
#include <numeric>

namespace lathe::reference {

using Kind = Instruction::Kind;

Executor::Executor(const Program& program, Sizes given, long tokens,
                   const std::map<std::string, double>& constants)
    : program(program), sizes(std::move(given)), tokens(tokens),
      inputValue(program.declarations.size(), -1), stateValue(program.declarations.size(), -1) {
  sizes["token"] = sizes["source"] = tokens;
  allocate();
  tokenSteps.resize(program.instructions.size());
  for (std::size_t at = 0; at < program.instructions.size(); ++at)
    bind(at, constants);
  staged.resize(program.declarations.size());
  for (std::size_t i = 0; i < program.declarations.size(); ++i) {
    const Declaration& state = program.declarations[i];
    const bool isOldState =
        state.kind == Declaration::Kind::state &&
        std::find(stateValue.begin(), stateValue.end(), state.value) != stateValue.end();
    if (isOldState)
      staged[i].resize(stateCount(i));
  }
}

/// A map writes over an operand of its own shape that nothing reads afterwards: a state that is
/// decayed and added to then stays within the cache.
void Executor::allocate() {
  std::vector<std::size_t> lastUse(program.values.size(), 0);
  std::vector<bool> isScratch(program.values.size(), false);
  for (std::size_t at = 0; at < program.instructions.size(); ++at) {
    const Instruction& instruction = program.instructions[at];
    for (int arg : instruction.args)
      lastUse[arg] = at;
    if (instruction.kind == Kind::map || instruction.kind == Kind::contract)
      isScratch[instruction.results[0]] = !instruction.perHead;
  }
  for (const Declaration& declaration : program.declarations)
    if (declaration.value != -1)
      isScratch[declaration.value] = false;

  std::vector<int> home(program.values.size());
  std::iota(home.begin(), home.end(), 0);
  for (std::size_t at = 0; at < program.instructions.size(); ++at) {
    const Instruction& instruction = program.instructions[at];
    const int result = instruction.results[0];
    if (instruction.kind != Kind::map || instruction.perHead)
      continue;
    for (int arg : instruction.args)
      if (isScratch[arg] && lastUse[arg] == at && program.values[arg] == program.values[result])
        home[result] = home[arg];
  }
  for (std::size_t i = 0; i < home.size(); ++i) {
    const Names& dims = program.values[i];
    buffers.emplace_back(home[i] == static_cast<int>(i) ? countOf(dims, sizes) : 0);
    slots.push_back({dims, nullptr});
  }
  for (std::size_t i = 0; i < home.size(); ++i)
    slots[i].data = buffers[home[i]].data();
}

void Executor::bind(std::size_t at, const std::map<std::string, double>& constants) {
  const Instruction& instruction = program.instructions[at];
  const Slot& out = slots[instruction.results[0]];
  std::vector<Slot> args, results;
  for (int arg : instruction.args)
    args.push_back(slots[arg]);
  for (int result : instruction.results)
    results.push_back(slots[result]);
  const auto declared = [&](std::vector<int>& values, Declaration::Kind kind) {
    for (std::size_t i = 0; i < program.declarations.size(); ++i)
      if (program.declarations[i].kind == kind && program.declarations[i].name == instruction.name)
        values[i] = instruction.results[0];
  };
  const auto add = [&](Step step) {
    (instruction.perHead ? headSteps.emplace_back() : tokenSteps[at]) = std::move(step);
  };
  const Order order{instruction.exclusive || instruction.strict, instruction.reverse,
                    instruction.transposed};
  const auto optional = [&](std::size_t i) { return i < args.size() ? &args[i] : nullptr; };
  switch (instruction.kind) {
  case Kind::input:
    return declared(inputValue, Declaration::Kind::input);
  case Kind::param:
    return declared(inputValue, Declaration::Kind::param);
  case Kind::state:
    return declared(stateValue, Declaration::Kind::state);
  case Kind::position:
    return positions.push_back(instruction.results[0]);
  case Kind::literal:
    *out.data = instruction.number;
    return;
  case Kind::dimension:
    *out.data = static_cast<double>(sizes.at(instruction.name));
    return;
  case Kind::index:
    std::iota(out.data, out.data + count(instruction.results[0]), 0.0);
    return;
  case Kind::constant:
    if (const auto given = constants.find(instruction.name); given != constants.end())
      return add([=, value = given->second] { *out.data = value; });
    return add([=, initial = args[0].data] { *out.data = *initial; });
  case Kind::map:
    return add(mapStep(instruction.op, out, args, sizes));
  case Kind::sum:
    return add(contractStep(out, args[0], nullptr, instruction.name, sizes));
  case Kind::max:
    return add(maxStep(out, args[0], instruction.name, sizes));
  case Kind::contract:
    return add(contractStep(out, args[0], &args[1], instruction.name, sizes));
  case Kind::broadcast:
    return add(broadcastStep(out, args[0], sizes));
  case Kind::rotate:
    return add(rotateStep(out, args[0], instruction.name, sizes));
  case Kind::taylor:
    return add(taylorStep(out, args[0], instruction.name, instruction.features, sizes));
  case Kind::taylorAdjoint:
    return add(
        taylorAdjointStep(out, args[0], args[1], instruction.name, instruction.features, sizes));
  case Kind::cumulate:
    return add(cumulateStep(out, args[0], order, sizes));
  case Kind::runningMax:
    return add(runningMaxStep(out, args[0], args[1], args[2], order, sizes));
  case Kind::scores:
    return add(scoresStep(out, args[0], args[1], optional(2), instruction.name, order, sizes));
  case Kind::apply:
    return add(applyStep(out, args[0], args[1], optional(2), order, sizes));
  case Kind::solve: {
    const std::size_t count = results.size();
    const std::span<const Slot> all(args);
    return add(solveStep(results, all.first(count), all.subspan(count, count * count),
                         optional(count + count * count), order, sizes));
  }
  }
}

/// Calls visit(element of the value, element of the tensor) for every element of one token.
template <typename Visit>
static void walk(const Names& dims, const Sizes& sizes, const std::vector<long>& strides,
                 std::size_t depth, long& element, long at, Visit& visit) {
  if (depth == dims.size()) {
    visit(element++, at);
    return;
  }
  for (long i = 0; i < sizes.at(dims[depth]); ++i)
    walk(dims, sizes, strides, depth + 1, element, at + i * strides[depth], visit);
}

void Executor::load(std::size_t declaration, const Place& place, long first) {
  const Declaration& input = program.declarations[declaration];
  double* to = slots[inputValue[declaration]].data;
  const long width = countOf(input.dims, sizes);
  const long count = input.kind == Declaration::Kind::param ? 1 : tokens;
  for (long token = 0; token < count; ++token) {
    const double* from = place.data + (first + token) * place.token;
    long element = token * width;
    const auto copy = [&](long own, long at) { to[own] = from[at]; };
    if (input.stored == input.dims)
      std::copy_n(from, width, to + element);
    else
      walk(input.dims, sizes, place.strides, 0, element, 0, copy);
  }
}

void Executor::store(std::size_t declaration, const Place& place, long first) const {
  const Declaration& output = program.declarations[declaration];
  const double* from = slots[output.value].data;
  for (long token = 0; token < tokens; ++token) {
    double* to = place.data + (first + token) * place.token;
    long element = token * countOf(output.dims, sizes);
    const auto copy = [&](long own, long at) { to[at] = from[own]; };
    walk(output.dims, sizes, place.strides, 0, element, 0, copy);
  }
}

void Executor::startHead(const std::vector<Place>& places) {
  for (std::size_t i = 0; i < places.size(); ++i)
    if (program.declarations[i].kind == Declaration::Kind::param)
      load(i, places[i], 0);
  for (const Step& step : headSteps)
    step();
}

void Executor::run(const SweepPlan& sweep, const std::vector<Place>& places, long first) {
  for (std::size_t i = 0; i < places.size(); ++i)
    if (program.declarations[i].kind == Declaration::Kind::input)
      load(i, places[i], first);
  for (int position : positions)
    for (long i = 0; i < count(position); ++i)
      slots[position].data[i] = static_cast<double>(first + i);
  for (int instruction : sweep.instructions)
    if (const Step& step = tokenSteps[instruction])
      step();
  for (int output : sweep.outputs)
    store(output, places[output], first);
  for (int i : sweep.updated)
    if (!staged[i].empty())
      std::copy_n(slots[program.declarations[i].value].data, staged[i].size(), staged[i].data());
  for (int i : sweep.updated)
    std::copy_n(staged[i].empty() ? slots[program.declarations[i].value].data : staged[i].data(),
                stateCount(i), state(i));
}

}  // namespace lathe::reference
