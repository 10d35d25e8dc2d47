#include "compiler/cpu/Bind.h"

#include "compiler/plan/Dims.h"
#include "compiler/plan/Evaluate.h"
#include "compiler/reference/Describe.h"

#include <algorithm>
#include <stdexcept>

namespace lathe::cpu {

using reference::Declaration;
using reference::Instruction;
using reference::Program;
using reference::textOf;
using Kind = Declaration::Kind;

namespace {

[[noreturn]] void fail(const Program& program, const std::string& what) {
  throw std::invalid_argument("variant " + program.variant + ": " + what);
}

bool isTensor(Kind kind) {
  return kind == Kind::input || kind == Kind::param || kind == Kind::output;
}

class Binding {
public:
  Binding(const Program& program, const std::vector<DType>& dtypes, const Memory& memory,
          const Call& call)
      : program(program), dtypes(dtypes), memory(memory), call(call) {}

  BoundCall run() {
    refuseUnknown();
    findExtents();
    readLengths();
    for (std::size_t i = 0; i < program.declarations.size(); ++i) {
      const Declaration& declaration = program.declarations[i];
      bound.tensors.push_back(isTensor(declaration.kind) ? tensor(i) : Bound());
      bound.initial.push_back(state(declaration, call.initial, "initial state "));
      bound.final.push_back(state(declaration, call.final, "final state "));
    }
    findConstants();
    return std::move(bound);
  }

private:
  void refuseUnknown() const {
    const auto refuse = [&](const auto& given, auto accepts, const char* what) {
      for (const auto& [name, value] : given)
        if (std::none_of(
                program.declarations.begin(), program.declarations.end(),
                [&](const Declaration& own) { return own.name == name && accepts(own.kind); }))
          fail(program, name + " is no " + what + " of the variant");
    };
    const auto isState = [](Kind kind) { return kind == Kind::state; };
    refuse(call.tensors, isTensor, "input, param or output");
    refuse(call.initial, isState, "state");
    refuse(call.final, isState, "state");
    refuse(call.constants, [](Kind kind) { return kind == Kind::constant; }, "const");
  }

  /// Batch and tokens come from the first tensor that has them, heads are the most of any.
  void findExtents() {
    for (const Declaration& declaration : program.declarations) {
      if (!isTensor(declaration.kind))
        continue;
      const auto given = call.tensors.find(declaration.name);
      const std::size_t leading = declaration.kind == Kind::param ? 1 : 3;
      const std::size_t axes = leading + declaration.stored.size();
      const std::string what = reference::name(declaration.kind) + (" " + declaration.name);
      if (given == call.tensors.end())
        fail(program, what + " is missing");
      const std::vector<std::int64_t>& shape = given->second.shape;
      if (shape.size() != axes)
        fail(program, what + " has " + std::to_string(shape.size()) + " axes, " + textOf(shape) +
                          "; it must have " + std::to_string(axes));
      if (leading == 3 && !isKnown) {
        bound.batch = shape[0];
        bound.tokens = shape[1];
        isKnown = true;
      }
      bound.heads = std::max(bound.heads, shape[leading - 1]);
    }
    if (!isKnown || bound.batch < 1 || bound.heads < 1)
      fail(program, "no tensor says how many batches, tokens and heads there are");
  }

  void readLengths() {
    std::visit([&](auto lengths) { bound.starts.assign(lengths.begin(), lengths.end()); },
               call.cuSeqlens);
    if (bound.starts.empty())
      return;
    bound.isPacked = true;
    const std::string what = "cu_seqlens " + textOf(bound.starts);
    if (bound.batch != 1)
      fail(program, what + " packs sequences into one row, but the batch is " +
                        std::to_string(bound.batch) + "; it must be 1");
    if (bound.starts.front() != 0 || bound.starts.back() != bound.tokens ||
        !std::is_sorted(bound.starts.begin(), bound.starts.end()))
      fail(program, what + " must begin with 0, never fall, and end with the number of tokens, " +
                        std::to_string(bound.tokens));
  }

  Bound tensor(std::size_t index) const {
    const Declaration& declaration = program.declarations[index];
    const TensorView& view = call.tensors.at(declaration.name);
    const std::string what = reference::name(declaration.kind) + (" " + declaration.name);
    if (view.dtype != dtypes[index])
      fail(program, what + " is " + name(view.dtype) + "; the kernel is compiled for " +
                        name(dtypes[index]));
    const bool isParam = declaration.kind == Kind::param;
    std::vector<std::int64_t> expected;
    if (!isParam)
      expected = {bound.batch, bound.tokens};
    expected.push_back(bound.heads);
    std::string also;
    if (declaration.kind == Kind::input) {
      also = ", or fewer heads that divide " + std::to_string(bound.heads);
      if (view.shape[2] > 0 && bound.heads % view.shape[2] == 0)
        expected[2] = view.shape[2];
    }
    Bound result = check(declaration, view, expected, what, also);
    const std::size_t head = expected.size() - declaration.stored.size() - 1;
    const std::int64_t size = bytes(view.dtype);
    result.heads = view.shape[head];
    result.head = view.strides[head] * size;
    if (!isParam) {
      result.outer = view.strides[0] * size;
      result.token = view.strides[1] * size;
    }
    return result;
  }

  Bound state(const Declaration& declaration, const std::map<std::string, TensorView>& given,
              const std::string& role) const {
    const auto found = given.find(declaration.name);
    if (declaration.kind != Kind::state || found == given.end())
      return {};
    const TensorView& view = found->second;
    const std::string what = role + declaration.name;
    if (view.dtype != DType::f32)
      fail(program, what + " is " + name(view.dtype) + "; states are f32");
    std::vector<std::int64_t> expected{bound.sequences(), bound.heads};
    if (view.shape.size() != 2 + declaration.stored.size())
      fail(program, what + " has " + std::to_string(view.shape.size()) + " axes, " +
                        textOf(view.shape) + "; it must have " +
                        std::to_string(2 + declaration.stored.size()));
    Bound result = check(declaration, view, expected, what, "");
    result.heads = bound.heads;
    result.outer = view.strides[0] * bytes(DType::f32);
    result.head = view.strides[1] * bytes(DType::f32);
    return result;
  }

  /// The rules that all tensors share. `expected` holds the leading axes, and then all.
  Bound check(const Declaration& declaration, const TensorView& view,
              std::vector<std::int64_t>& expected, const std::string& what,
              const std::string& also) const {
    for (const std::string& dim : declaration.stored)
      expected.push_back(memory.fullSizes.at(dim));
    if (view.shape != expected)
      fail(program, what + " has the shape " + textOf(view.shape) + "; it must have " +
                        textOf(expected) + also);
    if (view.strides.size() != view.shape.size())
      fail(program, what + " has " + std::to_string(view.strides.size()) + " strides for " +
                        std::to_string(view.shape.size()) + " axes");
    if (!declaration.stored.empty() && view.shape.back() > 1 && view.strides.back() != 1)
      fail(program, what + " has the stride " + std::to_string(view.strides.back()) +
                        " along its last axis; it must be 1");
    const bool isEmpty = std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
    if (!view.data && !isEmpty)
      fail(program, what + " has no memory: its pointer is null");
    Bound result;
    result.data = static_cast<std::byte*>(view.data);
    const std::size_t leading = view.shape.size() - declaration.stored.size();
    for (const std::string& dim : memory.ordered(declaration.dims)) {
      const auto place = std::find(declaration.stored.begin(), declaration.stored.end(), dim);
      const auto axis = leading + static_cast<std::size_t>(place - declaration.stored.begin());
      result.dims.push_back(view.strides[axis] * bytes(view.dtype));
    }
    return result;
  }

  /// The consts in double precision, each from the numbers before it.
  void findConstants() {
    bound.constants.assign(program.declarations.size(), 0);
    std::vector<double> values(program.values.size(), 0);
    for (const Instruction& instruction : program.instructions) {
      double& value = values[instruction.results[0]];
      switch (instruction.kind) {
      case Instruction::Kind::literal:
        value = instruction.number;
        break;
      case Instruction::Kind::dimension:
        value = static_cast<double>(memory.fullSizes.at(instruction.name));
        break;
      case Instruction::Kind::map:
        value = evaluate(instruction.op, values[instruction.args[0]],
                         instruction.args.size() > 1 ? values[instruction.args[1]] : 0);
        break;
      case Instruction::Kind::constant: {
        const auto given = call.constants.find(instruction.name);
        value = given == call.constants.end() ? values[instruction.args[0]] : given->second;
        bound.constants[findDeclaration(program, Kind::constant, instruction.name)] =
            static_cast<float>(value);
        break;
      }
      default:
        break;
      }
    }
  }

  const Program& program;
  const std::vector<DType>& dtypes;
  const Memory& memory;
  const Call& call;
  BoundCall bound;
  bool isKnown = false;
};

}  // namespace

BoundCall bindCall(const Program& program, const std::vector<DType>& dtypes, const Memory& memory,
                   const Call& call) {
  return Binding(program, dtypes, memory, call).run();
}

std::vector<DType> dtypesOf(const Program& program, const Target& target) {
  for (const auto& [name, dtype] : target.dtypes)
    if (std::none_of(
            program.declarations.begin(), program.declarations.end(),
            [&](const Declaration& own) { return own.name == name && isTensor(own.kind); }))
      fail(program, name + " is no input, param or output of the variant, and has no dtype");
  std::vector<DType> dtypes;
  for (const Declaration& declaration : program.declarations) {
    const auto given = target.dtypes.find(declaration.name);
    dtypes.push_back(given == target.dtypes.end() ? DType::f32 : given->second);
  }
  return dtypes;
}

Sizes sizesOf(const Program& program, const Target& target) {
  Sizes sizes;
  const auto all = completeDims(program.variant, program.rules, target.dims);
  for (const std::string& dim : program.dims) {
    const auto given = all.find(dim);
    if (given == all.end())
      fail(program, "the size of the dimension " + dim + " is missing");
    if (given->second < 1)
      fail(program, "the dimension " + dim + " has the size " + std::to_string(given->second) +
                        "; it must be at least 1");
    sizes[dim] = given->second;
  }
  for (const auto& [dim, size] : target.dims)
    if (!sizes.contains(dim))
      fail(program, dim + " is no dimension of the variant");
  return sizes;
}

}  // namespace lathe::cpu
