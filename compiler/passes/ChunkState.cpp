#include "compiler/passes/ChunkState.h"

using namespace mlir;

namespace lathe {

Value ChunkReader::perToken(TokenBuilder& builder, Value value) {
  return builder.broadcast(value, builder.variant.valueType(builder.getStringAttr(tokenDim)));
}

Value ChunkReader::kept(Value decay, bool exclusive, bool reverse) {
  if (!decay)
    return {};
  const Value sum = builder.create<CumulateOp>(builder.loc(), decay.getType(), decay,
                                               flag(exclusive), flag(reverse));
  return builder.map(Op::exp, sum);
}

Value ChunkReader::decayed(Value x, Value decay, bool exclusive, bool reverse) {
  const Value factor = kept(decay, exclusive, reverse);
  return factor ? builder.map(Op::multiply, {x, factor}) : x;
}

Value ChunkReader::scores(Value x, Value y, StringRef dim, bool before) {
  const ValueType type = builder.variant.valueType(
      {builder.getStringAttr(tokenDim), builder.getStringAttr(sourceDim)});
  return builder.create<ScoresOp>(builder.loc(), type, x, y, decayOf(dim),
                                  builder.getStringAttr(dim), flag(before), flag(state.reverse));
}

Value ChunkReader::apply(Value scores, Value values, Value decay, bool before) {
  if (decay)
    values = builder.broadcast(values, builder.unite({values, decay}));
  return builder.create<ApplyOp>(builder.loc(), values.getType(), scores, values, decay,
                                 flag(before && decay), flag(state.reverse), UnitAttr());
}

Value ChunkReader::read(Value x, StringRef dim, bool before) {
  const bool isKey = dim == state.keyDim;
  const Value otherDecay = isKey ? state.valueDecay : state.keyDecay;
  Value sum = builder.contract(decayed(x, decayOf(dim), before, state.reverse), state.initial, dim);
  sum = decayed(sum, otherDecay, before, state.reverse);
  for (const auto& [key, value] : state.writes) {
    const Value weights = scores(x, isKey ? key : value, dim, before);
    sum = builder.map(Op::add, {sum, apply(weights, isKey ? value : key, otherDecay, before)});
  }
  return sum;
}

Value ChunkReader::whole(bool before) {
  const Value factor = kept(state.keyDecay, before, state.reverse);
  Value sum = factor ? builder.map(Op::multiply, {factor, state.initial})
                     : perToken(builder, state.initial);
  const ValueType pairs = builder.variant.valueType(
      {builder.getStringAttr(tokenDim), builder.getStringAttr(sourceDim)});
  const Value all = builder.broadcast(builder.literal(1), pairs);
  for (const auto& [key, value] : state.writes) {
    Value written = builder.map(Op::multiply, {key, value});
    if (state.keyDecay)
      written = builder.broadcast(written, builder.unite({written, state.keyDecay}));
    const Value term =
        builder.create<ApplyOp>(builder.loc(), written.getType(), all, written, state.keyDecay,
                                flag(before), flag(state.reverse), UnitAttr());
    sum = builder.map(Op::add, {sum, term});
  }
  return sum;
}

Value ChunkReader::final() {
  Value sum = state.initial;
  for (Value decay : {state.keyDecay, state.valueDecay})
    if (decay)
      sum = builder.map(Op::multiply, {builder.map(Op::exp, builder.sum(decay, tokenDim)), sum});
  for (const auto& [key, value] : state.writes) {
    const Value keys = decayed(key, state.keyDecay, true, !state.reverse);
    const Value values = decayed(value, state.valueDecay, true, !state.reverse);
    sum = builder.map(Op::add, {sum, builder.contract(keys, values, tokenDim)});
  }
  return sum;
}

llvm::SmallVector<Value> ChunkReader::solve(ArrayRef<Value> lefts, ArrayRef<Value> rights) {
  llvm::SmallVector<Value> rows, blocks;
  for (Value right : rights) {
    rows.push_back(read(right, state.keyDim, /*before=*/true));
    for (Value left : lefts)
      blocks.push_back(scores(right, left, state.keyDim, /*before=*/true));
  }
  llvm::SmallVector<Type> types(rows.size(), rows[0].getType());
  auto solved = builder.create<SolveOp>(builder.loc(), types, rows, blocks, state.valueDecay,
                                        flag(state.reverse), UnitAttr());
  return llvm::to_vector_of<Value>(solved.getResults());
}

}  // namespace lathe
