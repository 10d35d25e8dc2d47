#include "compiler/reference/Interpreter.h"

#include "compiler/plan/Dims.h"
#include "compiler/reference/Describe.h"
#include "compiler/reference/Executor.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>

namespace lathe::reference {

namespace {

using Kind = Declaration::Kind;

/// The call's tensors, checked against the program.
class Call {
public:
  Call(const Program& program, const Arguments& arguments)
      : program(program), arguments(arguments) {
    const auto dims = completeDims(program.variant, program.rules, arguments.dims);
    for (const std::string& dim : program.dims) {
      const auto given = dims.find(dim);
      if (given == dims.end())
        fail("the size of the dimension " + dim + " is missing");
      if (given->second < 1)
        fail("the dimension " + dim + " has the size " + std::to_string(given->second) +
             "; it must be at least 1");
      sizes[dim] = given->second;
    }
    refuseUnknown();
    findExtents();
    for (const Declaration& declaration : program.declarations)
      check(declaration);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument("variant " + program.variant + ": " + what);
  }

  /// The axes that stand before the dimensions of a declaration.
  std::vector<std::int64_t> leading(const Declaration& declaration) const {
    if (declaration.kind == Kind::param)
      return {heads};
    if (declaration.kind == Kind::state)
      return {batch, heads};
    return {batch, tokens, heads};
  }

  std::vector<std::int64_t> shape(const Declaration& declaration) const {
    std::vector<std::int64_t> shape = leading(declaration);
    for (const std::string& dim : declaration.stored)
      shape.push_back(sizes.at(dim));
    return shape;
  }

  /// Where a tensor of this declaration lies at one batch and head; `ownHeads` of them are in the
  /// tensor.
  Place place(const Declaration& declaration, double* data, std::int64_t ownHeads,
              std::int64_t atBatch, std::int64_t atHead) const {
    const long width = countOf(declaration.stored, sizes);
    const std::int64_t head = atHead / (heads / ownHeads);
    Place place;
    for (const std::string& dim : declaration.dims)
      place.strides.push_back(strideOf(declaration.stored, dim, sizes));
    switch (declaration.kind) {
    case Kind::param:
      place.data = data + head * width;
      break;
    case Kind::state:
      place.data = data + (atBatch * heads + head) * width;
      break;
    default:
      place.token = ownHeads * width;
      place.data = data + atBatch * tokens * place.token + head * width;
    }
    return place;
  }

  const Program& program;
  const Arguments& arguments;
  Sizes sizes;
  std::int64_t batch = 0, tokens = 0, heads = 0;

private:
  static bool isTensor(const Declaration& declaration) {
    return declaration.kind == Kind::input || declaration.kind == Kind::param ||
           declaration.kind == Kind::state;
  }

  void refuseUnknown() const {
    const auto knows = [&](const std::string& name, auto accepts) {
      return std::any_of(program.declarations.begin(), program.declarations.end(),
                         [&](const Declaration& own) { return own.name == name && accepts(own); });
    };
    for (const auto& [name, tensor] : arguments.inputs)
      if (!knows(name, isTensor))
        fail(name + " is no input, param or state of the variant");
    for (const auto& [name, number] : arguments.constants)
      if (!knows(name, [](const Declaration& own) { return own.kind == Kind::constant; }))
        fail(name + " is no const of the variant");
    for (const auto& [name, size] : arguments.dims)
      if (!sizes.contains(name))
        fail(name + " is no dimension of the variant");
  }

  /// Batch and tokens come from the first input, heads are the most that any tensor has.
  void findExtents() {
    for (const Declaration& declaration : program.declarations) {
      if (!isTensor(declaration))
        continue;
      const auto given = arguments.inputs.find(declaration.name);
      if (given == arguments.inputs.end())
        continue;
      const std::vector<std::int64_t>& shape = given->second.shape;
      const std::size_t axes = leading(declaration).size();
      if (shape.size() != axes + declaration.stored.size())
        fail(name(declaration.kind) + (" " + declaration.name) + " has " +
             std::to_string(shape.size()) + " axes, " + textOf(shape) + "; it must have " +
             std::to_string(axes + declaration.stored.size()));
      if (declaration.kind == Kind::input && batch == 0) {
        batch = shape[0];
        tokens = shape[1];
      }
      heads = std::max(heads, shape[axes - 1]);
    }
    if (batch < 1 || tokens < 0 || heads < 1)
      fail("no input says how many batches, tokens and heads there are");
  }

  void check(const Declaration& declaration) const {
    if (!isTensor(declaration))
      return;
    const std::string what = name(declaration.kind) + (" " + declaration.name);
    const auto given = arguments.inputs.find(declaration.name);
    if (given == arguments.inputs.end()) {
      if (declaration.kind == Kind::state)
        return;
      fail(what + " is missing; it must have the shape " + textOf(shape(declaration)));
    }
    const Tensor& tensor = given->second;
    std::vector<std::int64_t> expected = shape(declaration);
    const std::size_t head = leading(declaration).size() - 1;
    std::string also;
    if (declaration.kind == Kind::input) {
      also = ", or fewer heads that divide " + std::to_string(heads);
      if (tensor.shape[head] > 0 && heads % tensor.shape[head] == 0)
        expected[head] = tensor.shape[head];
    }
    if (tensor.shape != expected)
      fail(what + " has the shape " + textOf(tensor.shape) + "; it must have " + textOf(expected) +
           also);
    std::size_t count = 1;
    for (std::int64_t size : expected)
      count *= static_cast<std::size_t>(size);
    if (tensor.data.size() != count)
      fail(what + " holds " + std::to_string(tensor.data.size()) + " numbers; its shape " +
           textOf(tensor.shape) + " takes " + std::to_string(count));
  }
};

/// What one thread needs: an executor for whole chunks and one for the tokens that are left.
class Worker {
public:
  Worker(const Call& call, Results& results, long chunk)
      : call(call), results(results), chunk(chunk),
        full(call.program, call.sizes, chunk, call.arguments.constants) {
    if (const long rest = static_cast<long>(call.tokens) % chunk)
      tail.emplace(call.program, call.sizes, rest, call.arguments.constants);
  }

  void run(std::int64_t batch, std::int64_t head) {
    std::vector<Place> places;
    for (const Declaration& declaration : call.program.declarations)
      places.push_back(placeOf(declaration, batch, head));
    full.startHead(places);
    if (tail)
      tail->startHead(places);
    for (const SweepPlan& sweep : call.program.sweeps)
      run(sweep, places);
  }

private:
  /// The steps through the sequence: whole chunks, then what is left.
  long steps() const { return static_cast<long>(call.tokens) / chunk + (tail ? 1 : 0); }
  Executor& executorOf(long step) { return tail && step == steps() - 1 ? *tail : full; }

  void run(const SweepPlan& sweep, const std::vector<Place>& places) {
    const long count = steps();
    Executor* last = &full;
    forEachState(sweep, places, full, [](double& state, double& memory) { state = memory; });
    for (long n = 0; n < count; ++n) {
      const long step = sweep.reverse ? count - 1 - n : n;
      Executor& executor = executorOf(step);
      for (int state : sweep.updated) {
        if (&executor != last)
          std::copy_n(last->state(state), executor.stateCount(state), executor.state(state));
        if (isGivenLater(state))
          record(state, step, executor);
      }
      for (int state : sweep.given)
        std::copy_n(trace[state].data() + step * executor.stateCount(state),
                    executor.stateCount(state), executor.state(state));
      executor.run(sweep, places, step * chunk);
      last = &executor;
    }
    forEachState(sweep, places, *last, [](double& state, double& memory) { memory = state; });
  }

  bool isGivenLater(int state) const {
    return std::any_of(
        call.program.sweeps.begin(), call.program.sweeps.end(), [&](const SweepPlan& sweep) {
          return std::find(sweep.given.begin(), sweep.given.end(), state) != sweep.given.end();
        });
  }

  /// Keeps the state before a step for the sweeps that follow.
  void record(int state, long step, Executor& executor) {
    std::vector<double>& kept = trace[state];
    kept.resize(steps() * executor.stateCount(state));
    std::copy_n(executor.state(state), executor.stateCount(state),
                kept.data() + step * executor.stateCount(state));
  }

  Place placeOf(const Declaration& declaration, std::int64_t batch, std::int64_t head) {
    switch (declaration.kind) {
    case Kind::output:
      return call.place(declaration, results.outputs.at(declaration.name).data.data(), call.heads,
                        batch, head);
    case Kind::state:
      return call.place(declaration, results.states.at(declaration.name).data.data(), call.heads,
                        batch, head);
    case Kind::constant:
      return {};
    default: {
      const Tensor& tensor = call.arguments.inputs.at(declaration.name);
      const std::size_t axis = call.leading(declaration).size() - 1;
      return call.place(declaration, const_cast<double*>(tensor.data.data()), tensor.shape[axis],
                        batch, head);
    }
    }
  }

  /// Pairs every element of the states that a sweep updates with its place in the memory of the
  /// call.
  template <typename Copy>
  void forEachState(const SweepPlan& sweep, const std::vector<Place>& places, Executor& executor,
                    Copy copy) {
    for (int i : sweep.updated) {
      const Declaration& state = call.program.declarations[i];
      double* own = executor.state(i);
      for (long element = 0; element < executor.stateCount(i); ++element) {
        long rest = element, at = 0;
        for (std::size_t dim = state.dims.size(); dim-- > 0;) {
          const long size = call.sizes.at(state.dims[dim]);
          at += rest % size * places[i].strides[dim];
          rest /= size;
        }
        copy(own[element], places[i].data[at]);
      }
    }
  }

  const Call& call;
  Results& results;
  long chunk;
  Executor full;
  std::optional<Executor> tail;
  std::map<int, std::vector<double>> trace;  ///< States before every step, one after the other.
};

}  // namespace

Results interpret(const Program& program, const Arguments& arguments, int chunk, int threads) {
  const Call call(program, arguments);
  if (program.chunked && chunk < 1)
    call.fail("a chunk of " + std::to_string(chunk) + " tokens; it must have at least 1");
  Results results;
  for (const Declaration& declaration : program.declarations) {
    if (declaration.kind != Kind::output && declaration.kind != Kind::state)
      continue;
    Tensor tensor{call.shape(declaration), {}};
    long count = 1;
    for (std::int64_t size : tensor.shape)
      count *= size;
    tensor.data.resize(count);
    const auto initial = arguments.inputs.find(declaration.name);
    const bool isState = declaration.kind == Kind::state;
    if (isState && initial != arguments.inputs.end())
      tensor.data = initial->second.data;
    (isState ? results.states : results.outputs)[declaration.name] = std::move(tensor);
  }

  const std::int64_t sequences = call.batch * call.heads;
  std::atomic<std::int64_t> next = 0;
  const auto work = [&] {
    Worker worker(call, results, program.chunked ? chunk : 1);
    for (std::int64_t i; (i = next++) < sequences;)
      worker.run(i / call.heads, i % call.heads);
  };
  std::vector<std::thread> helpers;
  for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, sequences); ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers)
    helper.join();
  return results;
}

}  // namespace lathe::reference
