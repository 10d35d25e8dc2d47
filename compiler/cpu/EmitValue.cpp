// Values and expressions at one element.
#include "compiler/cpu/Emitter.h"
#include "compiler/cpu/Functions.h"

#include <algorithm>
#include <limits>

using namespace mlir;

namespace lathe::cpu {

Value Emitter::apply(const reference::Instruction& instruction, ArrayRef<Value> args) {
  if (instruction.kind == Kind::broadcast)
    return args[0];
  if (instruction.kind == Kind::runningMax)
    return instruction.exclusive
               ? args[0]
               : createFunction(code, Op::maximum,
                                {createFunction(code, Op::add, {args[0], args[1]}), args[2]});
  return createFunction(code, instruction.op, args);
}

Layout Emitter::layoutOf(int value) const {
  return Layout(dims(value), emission.memory->sizes, code.lanes);
}

/// Where a value that is in memory begins.
Value Emitter::baseOf(int value) {
  if (definition(value).kind == Kind::state)
    return oldStates.at(declarationOf(value));
  return code.address(scratch, code.integer(bufferOf[value]));
}

/// `vector` numbers the vectors of the element; -1: the value lacks their dimension.
Value Emitter::addressOf(int value, const Element& at, int vector) {
  const Layout layout = layoutOf(value);
  Value index = code.integer(0);
  for (std::size_t i = 0; i < layout.dims.size(); ++i) {
    const bool isColumn = layout.dims[i] == at.column;
    index = code.index(index, isColumn ? at.starts[vector] : at.index.at(layout.dims[i]),
                       layout.strides[i]);
  }
  return code.address(baseOf(value), index);
}

Value Emitter::scalar(int value, Element& at) {
  const reference::Instruction& instruction = definition(value);
  if (instruction.kind == Kind::literal)
    return code.number(instruction.number, code.getF32Type());
  if (instruction.kind == Kind::dimension)
    return code.number(static_cast<double>(emission.memory->fullSizes.at(instruction.name)),
                       code.getF32Type());
  if (const auto found = scalars.find(value); found != scalars.end())
    return found->second;
  if (const auto found = at.scalars.find(value); found != at.scalars.end())
    return found->second;
  Value result;
  if (emission.schedule->isInline[value]) {
    Values args;
    for (int arg : instruction.args)
      args.push_back(scalar(arg, at));
    result = apply(instruction, args);
  } else {
    result = code.load(addressOf(value, at, -1), code.getF32Type());
  }
  return at.scalars[value] = result;
}

Value Emitter::vector(int value, Element& at, int vector) {
  const bool moves =
      std::find(dims(value).begin(), dims(value).end(), at.column) != dims(value).end();
  const std::pair<int, int> key(value, moves ? vector : -1);
  if (const auto found = at.vectors.find(key); found != at.vectors.end())
    return found->second;
  const reference::Instruction& instruction = definition(value);
  Value result;
  if (!moves) {
    result = code.splat(scalar(value, at));
  } else if (emission.schedule->isInline[value] && dims(value).size() > 1) {
    Values args;
    for (int arg : instruction.args)
      args.push_back(this->vector(arg, at, vector));
    result = apply(instruction, args);
  } else {
    result = code.load(addressOf(value, at, vector), code.vector);
  }
  return at.vectors[key] = result;
}

/// What a reduction adds up, at one element.
Value Emitter::term(const reference::Instruction& reduction, Element& at, int vector) {
  const Value first = this->vector(reduction.args[0], at, vector);
  if (reduction.kind != Kind::contract)
    return first;
  return code.create<arith::MulFOp>(first, this->vector(reduction.args[1], at, vector),
                                    arith::FastMathFlags::contract);
}

Value Emitter::accumulate(Value sum, Value term, bool isMax) {
  if (isMax)
    return code.combine(sum, term, true);
  return code.create<arith::AddFOp>(sum, term, arith::FastMathFlags::contract);
}

Value Emitter::identity(bool isMax) {
  return code.number(isMax ? -std::numeric_limits<double>::infinity() : 0, code.vector);
}

}  // namespace lathe::cpu
