#include "compiler/dialect/Build.h"

using namespace mlir;

namespace lathe {

ValueType united(VariantOp variant, ValueRange values, StringRef removed, StringRef added) {
  llvm::SmallVector<StringAttr> names;
  for (Value value : values)
    for (StringAttr dim : typeOf(value).getDims())
      if (dim.getValue() != removed)
        names.push_back(dim);
  if (!added.empty())
    names.push_back(StringAttr::get(variant.getContext(), added));
  return variant.valueType(names);
}

Value TokenBuilder::literal(double value) {
  return create<LiteralOp>(loc(), ValueType::get(getContext(), {}), getF64FloatAttr(value));
}

Value TokenBuilder::dim(StringRef name) {
  return create<DimOp>(loc(), ValueType::get(getContext(), {}), name);
}

Value TokenBuilder::position() {
  return create<PositionOp>(loc(), ValueType::get(getContext(), {}));
}

Value TokenBuilder::index(StringRef dim) { return create<IndexOp>(loc(), unite({}, "", dim), dim); }

Value TokenBuilder::map(Op op, ValueRange operands) {
  auto map = create<MapOp>(loc(), unite(operands), operands);
  const InsertionGuard guard(*this);
  Block* body = createBlock(&map.getBody());
  for (size_t i = 0; i < operands.size(); ++i)
    body->addArgument(getF64Type(), loc());
  create<YieldOp>(loc(), createScalar(*this, loc(), op, body->getArguments()));
  return map;
}

Value TokenBuilder::sum(Value input, StringRef dim) {
  return create<SumOp>(loc(), unite(input, dim), input, dim);
}

Value TokenBuilder::max(Value input, StringRef dim) {
  return create<MaxOp>(loc(), unite(input, dim), input, dim);
}

Value TokenBuilder::contract(Value lhs, Value rhs, StringRef dim) {
  return create<ContractOp>(loc(), unite({lhs, rhs}, dim), lhs, rhs, dim);
}

Value TokenBuilder::rotate(Value input, StringRef dim) {
  return create<RotateOp>(loc(), input.getType(), input, dim);
}

Value TokenBuilder::taylor(Value input, StringRef dim, StringRef features) {
  return create<TaylorOp>(loc(), unite(input, dim, features), input, dim, features);
}

Value TokenBuilder::taylorAdjoint(Value input, Value adjoint, StringRef dim, StringRef features) {
  return create<TaylorAdjointOp>(loc(), unite({input, adjoint}, features, dim), input, adjoint, dim,
                                 features);
}

Value TokenBuilder::broadcast(Value input, ValueType type) {
  llvm::SmallVector<StringAttr> names(typeOf(input).getDims());
  llvm::append_range(names, type.getDims());
  const ValueType all = variant.valueType(names);
  return all == input.getType() ? input : create<BroadcastOp>(loc(), all, input).getResult();
}

Value expand(TokenBuilder& builder, AffineOp affine) {
  Value sum = affine.getState();
  for (Value decay : affine.getDecays())
    sum = builder.map(Op::multiply, {builder.map(Op::exp, decay), sum});
  for (const auto& [left, right] : llvm::zip(affine.getLefts(), affine.getRights())) {
    const Value row = builder.contract(right, affine.getState(), affine.keyDim());
    sum = builder.map(Op::add, {sum, builder.map(Op::multiply, {left, row})});
  }
  for (const auto& [key, value] : llvm::zip(affine.getKeys(), affine.getValues()))
    sum = builder.map(Op::add, {sum, builder.map(Op::multiply, {key, value})});
  return builder.broadcast(sum, typeOf(affine));
}

std::optional<double> literalOf(Value value) {
  if (auto literal = value.getDefiningOp<LiteralOp>())
    return literal.getValue().convertToDouble();
  return std::nullopt;
}

MapOp definingMap(Value value, Op op) {
  auto map = value.getDefiningOp<MapOp>();
  return map && scalarOpOf(map) == op ? map : MapOp();
}

}  // namespace lathe
