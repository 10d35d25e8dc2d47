// Functions of a whole vector whose elements meet each other: rotary halves, Taylor features.
//
// Rows that are no multiple of a vector are written by whole vectors all the same: what a row
// writes past its end, the next one writes again, and every buffer has room for one vector more.
#include "compiler/cpu/Emitter.h"

#include <cmath>

using namespace mlir;

namespace lathe::cpu {

void Emitter::emitFeature(int value) {
  const reference::Instruction& instruction = definition(value);
  if (instruction.kind == Kind::rotate)
    emitRotate(instruction);
  else if (instruction.kind == Kind::taylor)
    emitTaylor(instruction);
  else
    emitTaylorAdjoint(instruction);
}

/// begin, begin + step, ... below end.
void Emitter::forEach(long begin, long end, long step, const Body& body) {
  if (begin >= end)
    return;
  const long turns = (end - begin + step - 1) / step;
  code.loop(code.integer(0), code.integer(turns), {}, [&](Value turn, const Values&) {
    body(code.index(code.integer(begin), turn, step));
    return Values();
  });
}

/// (x1, x2) to (-x2, x1). The lower half may run over into the upper one, which comes second.
void Emitter::emitRotate(const reference::Instruction& instruction) {
  const Value x = baseOf(instruction.args[0]), y = baseOf(instruction.results[0]);
  const long half = emission.memory->sizes.at(instruction.name) / 2;
  forEach(0, half, code.lanes, [&](Value i) {
    const Value upper = code.load(code.address(x, code.add(i, code.integer(half))), code.vector);
    code.store(code.create<arith::NegFOp>(upper), code.address(y, i));
  });
  forEach(0, half, code.lanes, [&](Value i) {
    code.store(code.load(code.address(x, i), code.vector),
               code.address(y, code.add(i, code.integer(half))));
  });
}

/// 1, then x_i, then x_i x_j / sqrt(2) row by row.
void Emitter::emitTaylor(const reference::Instruction& instruction) {
  const Value x = baseOf(instruction.args[0]), y = baseOf(instruction.results[0]);
  const long size = emission.memory->sizes.at(instruction.name);
  const Value root = code.number(1 / std::sqrt(2.0), code.getF32Type());
  code.store(code.number(1, code.getF32Type()), y);
  forEach(0, size, code.lanes, [&](Value i) {
    code.store(code.load(code.address(x, i), code.vector),
               code.address(y, code.add(i, code.integer(1))));
  });
  forEach(0, size, 1, [&](Value i) {
    const Value scale = code.splat(
        code.create<arith::MulFOp>(code.load(code.address(x, i), code.getF32Type()), root));
    const Value row = code.address(y, code.index(code.integer(1 + size), i, size));
    forEach(0, size, code.lanes, [&](Value j) {
      const Value product =
          code.create<arith::MulFOp>(scale, code.load(code.address(x, j), code.vector));
      code.store(product, code.address(row, j));
    });
  });
}

/// With D the gradient of the products, a matrix: that of x is d_x + (D x + D^T x) / sqrt(2).
void Emitter::emitTaylorAdjoint(const reference::Instruction& instruction) {
  const Value x = baseOf(instruction.args[0]), d = baseOf(instruction.args[1]);
  const Value y = baseOf(instruction.results[0]);
  const long size = emission.memory->sizes.at(instruction.name);
  const long whole = size / code.lanes * code.lanes;
  const Value linear = code.address(d, code.integer(1));
  const Value products = code.address(d, code.integer(1 + size));
  const Value none = code.number(0, code.vector);
  forEach(0, size, 1, [&](Value i) {
    const Value row = code.address(products, code.index(code.integer(0), i, size));
    const auto add = [&](Value sum, Value j, int count) {
      const Value term = code.create<arith::MulFOp>(code.load(code.address(row, j), code.vector),
                                                    code.load(code.address(x, j), code.vector));
      return accumulate(sum, code.firstLanes(term, count, none), false);
    };
    Value sum = code.loop(
        code.integer(0), code.integer(whole / code.lanes), {none},
        [&](Value block, const Values& carried) -> Values {
          return {add(carried[0], code.index(code.integer(0), block, code.lanes), code.lanes)};
        })[0];
    if (whole < size)
      sum = add(sum, code.integer(whole), static_cast<int>(size - whole));
    code.store(code.reduce(sum, false), code.address(y, i));
  });
  forEach(0, size, code.lanes, [&](Value i) {
    const Value ofRows = code.load(code.address(y, i), code.vector);
    const Value sum = code.loop(code.integer(0), code.integer(size), {ofRows},
                                [&](Value j, const Values& carried) -> Values {
                                  const Value row = code.address(products, code.index(i, j, size));
                                  const Value term = code.create<arith::MulFOp>(
                                      code.load(row, code.vector),
                                      code.splat(code.load(code.address(x, j), code.getF32Type())));
                                  return {accumulate(carried[0], term, false)};
                                })[0];
    const Value scaled =
        code.create<arith::MulFOp>(sum, code.number(1 / std::sqrt(2.0), code.vector));
    code.store(code.create<arith::AddFOp>(scaled, code.load(code.address(linear, i), code.vector)),
               code.address(y, i));
  });
}

}  // namespace lathe::cpu
