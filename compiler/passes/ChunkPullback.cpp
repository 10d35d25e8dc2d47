// The pull-back of the operations of the chunk form. Scores, and values applied to them with or
// without transposition, are closed under it: with the same decay between tokens,
//
//   A = scores(x, y):  dx = dA y,    dy = dA^T x
//   o = A v:           dA = scores(do, v),  dv = A^T do
//   W = R + L W:       dR = dW + L^T dR,  dL = scores(dR, W)
#include "compiler/passes/Pullback.h"

using namespace mlir;

namespace lathe {

/// The one dimension besides the token, or none.
static StringRef featureOf(Value value) {
  for (StringAttr dim : typeOf(value).getDims())
    if (dim.getValue() != tokenDim)
      return dim.getValue();
  return {};
}

Value Pullback::scores(Value x, Value y, Value decay, bool strict, bool reverse) {
  const ValueType type = builder.variant.valueType(
      {builder.getStringAttr(tokenDim), builder.getStringAttr(sourceDim)});
  const StringRef dim = featureOf(x).empty() ? featureOf(y) : featureOf(x);
  return builder.create<ScoresOp>(builder.loc(), type, x, y, decay, builder.getStringAttr(dim),
                                  flag(strict), flag(reverse));
}

Value Pullback::apply(Value scores, Value values, Value decay, bool strict, bool reverse,
                      bool transposed) {
  return builder.create<ApplyOp>(builder.loc(), values.getType(), scores, values, decay,
                                 flag(strict), flag(reverse), flag(transposed));
}

void Pullback::addDecay(Value decay, Value read, Value written, bool strict, bool reverse) {
  if (!decay || !isActive(decay))
    return;
  const auto total = [&](Value ends, bool exclusive) {
    const Value own = reduced(ends, typeOf(decay));
    return builder.create<CumulateOp>(builder.loc(), own.getType(), own, flag(exclusive),
                                      flag(!reverse));
  };
  add(decay, builder.map(Op::subtract, {total(read, strict), total(written, false)}));
}

void Pullback::throughCumulate(CumulateOp cumulate, Value d) {
  add(cumulate.getInput(),
      builder.create<CumulateOp>(builder.loc(), d.getType(), d, cumulate.getExclusiveAttr(),
                                 flag(!cumulate.getReverse())));
}

void Pullback::throughScores(ScoresOp op, Value d) {
  const Value decay = op.getDecay();
  // Over every dimension that is summed, so that each side sees what each element counts.
  const auto full = [&](Value value) {
    llvm::SmallVector<StringAttr> names(typeOf(value).getDims());
    if (!op.getDim().empty())
      names.push_back(op.getDimAttr());
    return builder.broadcast(value, builder.variant.valueType(names));
  };
  const Value x = full(op.getX()), y = full(op.getY());
  const Value dx = apply(d, y, decay, op.getStrict(), op.getReverse(), false);
  const Value dy = apply(d, x, decay, op.getStrict(), op.getReverse(), true);
  add(op.getX(), dx);
  add(op.getY(), dy);
  addDecay(decay, builder.map(Op::multiply, {x, dx}), builder.map(Op::multiply, {y, dy}),
           op.getStrict(), op.getReverse());
}

void Pullback::throughApply(ApplyOp op, Value d) {
  const Value decay = op.getDecay(), v = op.getValues();
  const bool strict = op.getStrict(), reverse = op.getReverse();
  const Value dv = apply(op.getScores(), d, decay, strict, reverse, !op.getTransposed());
  add(v, dv);
  // The token that reads stands first, whichever side the values are on.
  const Value reader = op.getTransposed() ? v : d, writer = op.getTransposed() ? d : v;
  if (isActive(op.getScores()))
    add(op.getScores(), scores(reader, writer, decay, strict, reverse));
  const Value atValues = builder.map(Op::multiply, {v, dv});
  const Value atResult = builder.map(Op::multiply, {d, op.getResult()});
  addDecay(decay, op.getTransposed() ? atValues : atResult,
           op.getTransposed() ? atResult : atValues, strict, reverse);
}

void Pullback::throughSolve(SolveOp op) {
  llvm::SmallVector<Value> into;
  for (Value result : op.getResults()) {
    const Value d = of(result);
    into.push_back(d ? d : builder.broadcast(builder.literal(0), typeOf(result)));
  }
  if (llvm::none_of(op.getResults(), [&](Value result) { return of(result); }))
    return;
  const llvm::SmallVector<Type> types(op.getResultTypes());
  const bool isTransposed = !op.getTransposed(), reverse = op.getReverse();
  const llvm::SmallVector<Value> blocks(op.getBlocks());
  auto solved = builder.create<SolveOp>(builder.loc(), types, into, blocks, op.getDecay(),
                                        flag(reverse), flag(isTransposed));
  const size_t count = op.getRights().size();
  Value read, written;
  const auto total = [&](Value& sum, Value a, Value b) {
    const Value part = builder.map(Op::multiply, {a, b});
    sum = sum ? builder.map(Op::add, {sum, part}) : part;
  };
  for (size_t r = 0; r < count; ++r) {
    const Value d = solved.getResult(r), result = op.getResult(r);
    add(op.getRights()[r], d);
    for (size_t s = 0; s < count; ++s) {
      const Value reader = op.getTransposed() ? op.getResult(r) : solved.getResult(r);
      const Value writer = op.getTransposed() ? solved.getResult(s) : op.getResult(s);
      if (isActive(blocks[r * count + s]))
        add(blocks[r * count + s], scores(reader, writer, op.getDecay(), true, reverse));
    }
    if (!op.getDecay())
      continue;
    const Value fromOthers = builder.map(Op::subtract, {result, op.getRights()[r]});
    const Value backToOthers = builder.map(Op::subtract, {d, into[r]});
    total(op.getTransposed() ? written : read, d, fromOthers);
    total(op.getTransposed() ? read : written, result, backToOthers);
  }
  if (op.getDecay())
    addDecay(op.getDecay(), read, written, true, reverse);
}

}  // namespace lathe
