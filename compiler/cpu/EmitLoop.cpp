// Loops over one dimension, scalars, and tensors copied whole.
#include "compiler/cpu/Emitter.h"

#include <algorithm>

using namespace mlir;

namespace lathe::cpu {

namespace {

bool isReduction(const reference::Instruction& instruction) {
  using Kind = reference::Instruction::Kind;
  return instruction.kind == Kind::sum || instruction.kind == Kind::max ||
         instruction.kind == Kind::contract;
}

bool isMaximum(const reference::Instruction& instruction) {
  return instruction.kind == reference::Instruction::Kind::max;
}

}  // namespace

/// Values of no dimension, one after the other.
void Emitter::emitScalars(const Loop& loop) {
  Element at;
  for (int value : loop.values) {
    const reference::Instruction& instruction = definition(value);
    Values args;
    switch (instruction.kind) {
    case Kind::input:
    case Kind::param: {
      const int declaration = declarationOf(value);
      scalars[value] = code.loadAs(tensorAt.at(declaration), emission.dtypes[declaration]);
      break;
    }
    case Kind::constant:
      scalars[value] =
          code.word(frame, emission.memory->frame.tensors[declarationOf(value)], code.getF32Type());
      break;
    case Kind::position:
      scalars[value] = code.create<arith::SIToFPOp>(code.getF32Type(), token);
      break;
    default:
      for (int arg : instruction.args)
        args.push_back(scalar(arg, at));
      scalars[value] = apply(instruction, args);
    }
  }
  for (int output : loop.outputs)
    code.storeAs(scalar(declared(output).value, at), tensorAt.at(output), emission.dtypes[output]);
  Values fresh;
  for (int state : loop.updates)
    fresh.push_back(scalar(declared(state).value, at));
  for (std::size_t i = 0; i < fresh.size(); ++i)
    code.store(fresh[i], newStates.at(loop.updates[i]));
}

void Emitter::emitLoop(const Loop& loop) {
  const long size = emission.memory->sizes.at(loop.dim);
  const long whole = size / code.lanes;
  const int tail = static_cast<int>(size % code.lanes);
  Values sums;
  for (int value : loop.values)
    if (isReduction(definition(value)))
      sums.push_back(identity(isMaximum(definition(value))));
  if (whole == 1)
    sums = emitBlock(loop, code.integer(0), code.lanes, sums);
  else if (whole > 1)
    sums = code.loop(code.integer(0), code.integer(whole), sums,
                     [&](Value block, const Values& carried) {
                       return emitBlock(loop, code.multiply(block, code.integer(code.lanes)),
                                        code.lanes, carried);
                     });
  if (tail > 0)
    sums = emitBlock(loop, code.integer(whole * code.lanes), tail, sums);
  std::size_t next = 0;
  for (int value : loop.values)
    if (isReduction(definition(value)))
      scalars[value] = code.reduce(sums[next++], isMaximum(definition(value)));
}

/// One vector of every value, of which the first `count` elements are there.
Emitter::Values Emitter::emitBlock(const Loop& loop, Value start, int count, const Values& sums) {
  Element at;
  at.column = loop.dim;
  at.starts = {start};
  Values next;
  for (int value : loop.values) {
    const reference::Instruction& instruction = definition(value);
    if (isReduction(instruction)) {
      const bool isMax = isMaximum(instruction);
      const Value other = identity(isMax);
      next.push_back(accumulate(sums[next.size()],
                                code.firstLanes(term(instruction, at, 0), count, other), isMax));
      continue;
    }
    Value result;
    if (instruction.kind == Kind::input || instruction.kind == Kind::param) {
      result = loadTensor(value, start, count);
    } else if (instruction.kind == Kind::index) {
      result = code.indices(start);
    } else {
      Values args;
      for (int arg : instruction.args)
        args.push_back(vector(arg, at, 0));
      result = apply(instruction, args);
    }
    at.vectors[{value, 0}] = result;
    const bool isLocal = std::all_of(users[value].begin(), users[value].end(), [&](int user) {
      return std::find(loop.values.begin(), loop.values.end(), user) != loop.values.end();
    });
    if (!isLocal)
      code.store(result, code.address(baseOf(value), start));
  }
  for (int output : loop.outputs) {
    const DType dtype = emission.dtypes[output];
    const Value offset = code.multiply(start, code.integer(bytes(dtype)));
    code.storeAs(vector(declared(output).value, at, 0),
                 code.byteAddress(tensorAt.at(output), offset), dtype, count);
  }
  Values fresh;
  for (int state : loop.updates)
    fresh.push_back(vector(declared(state).value, at, 0));
  for (std::size_t i = 0; i < fresh.size(); ++i)
    code.store(fresh[i], code.address(newStates.at(loop.updates[i]), start));
  return next;
}

Value Emitter::loadTensor(int value, Value start, int count) {
  const int declaration = declarationOf(value);
  const DType dtype = emission.dtypes[declaration];
  const Value offset = code.multiply(start, code.integer(bytes(dtype)));
  return code.loadAs(code.byteAddress(tensorAt.at(declaration), offset), dtype, count);
}

/// A tensor of several dimensions, element by element, since any of them may be the dense one.
void Emitter::emitCopy(const Copy& copy, bool isStore) {
  const Layout layout = layoutOf(copy.value);
  const int word = emission.memory->frame.tensors[copy.declaration];
  const DType dtype = emission.dtypes[copy.declaration];
  const Value buffer = code.address(scratch, code.integer(bufferOf[copy.value]));
  const std::function<void(std::size_t, Value, Value)> descend = [&](std::size_t depth, Value own,
                                                                     Value call) {
    if (depth < layout.dims.size()) {
      const Value stride = code.word(frame, word + 2 + static_cast<int>(depth), code.getI64Type());
      code.loop(code.integer(0), code.integer(layout.sizes[depth]), {},
                [&](Value i, const Values&) {
                  descend(depth + 1, code.index(own, i, layout.strides[depth]),
                          code.byteAddress(call, code.multiply(i, stride)));
                  return Values();
                });
      return;
    }
    const Value at = code.address(buffer, own);
    if (isStore)
      code.storeAs(code.load(at, code.getF32Type()), call, dtype);
    else
      code.store(code.loadAs(call, dtype), at);
  };
  descend(0, code.integer(0), tensorAt.at(copy.declaration));
}

}  // namespace lathe::cpu
