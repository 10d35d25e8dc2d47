// What canonicalisation knows of values: maps of numbers are numbers, and x * 1, x + 0, -(-x) are
// x.
#include "compiler/dialect/Build.h"
#include "compiler/plan/Evaluate.h"

using namespace mlir;

namespace lathe {

OpFoldResult LiteralOp::fold(FoldAdaptor) { return getValueAttr(); }

OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  return getInput().getType() == getType() ? OpFoldResult(getInput()) : OpFoldResult();
}

static std::optional<double> numberOf(Attribute attribute) {
  if (const auto number = llvm::dyn_cast_if_present<FloatAttr>(attribute))
    return number.getValueAsDouble();
  return std::nullopt;
}

/// The operand that the whole operation equals but for dimensions, or null.
static Value identity(Op op, ValueRange inputs) {
  const auto is = [&](int operand, double value) {
    Value behind = inputs[operand];
    while (auto broadcast = behind.getDefiningOp<BroadcastOp>())
      behind = broadcast.getInput();
    return literalOf(behind) == value;
  };
  switch (op) {
  case Op::add:
    return is(1, 0) ? inputs[0] : is(0, 0) ? inputs[1] : Value();
  case Op::subtract:
    return is(1, 0) ? inputs[0] : Value();
  case Op::multiply:
    return is(1, 1) ? inputs[0] : is(0, 1) ? inputs[1] : Value();
  case Op::divide:
    return is(1, 1) ? inputs[0] : Value();
  case Op::negate:
    if (MapOp inner = definingMap(inputs[0], Op::negate))
      return inner.getInputs()[0];
    return {};
  case Op::minimum:
  case Op::maximum:
    return inputs[0] == inputs[1] ? inputs[0] : Value();
  default:
    return {};
  }
}

OpFoldResult MapOp::fold(FoldAdaptor adaptor) {
  const std::optional<lathe::Op> op = scalarOpOf(*this);
  if (!op)
    return {};
  const ArrayRef<Attribute> constants = adaptor.getInputs();
  const std::optional<double> a = numberOf(constants[0]);
  const std::optional<double> b = constants.size() > 1 ? numberOf(constants[1]) : 0.0;
  if (a && b)
    return FloatAttr::get(Float64Type::get(getContext()), evaluate(*op, *a, *b));
  const Value same = identity(*op, getInputs());
  return same && same.getType() == getType() ? OpFoldResult(same) : OpFoldResult();
}

}  // namespace lathe
