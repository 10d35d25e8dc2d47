// The rules of every operation, and the texts for where one is broken.
#include "compiler/dialect/Rules.h"
#include "compiler/plan/Evaluate.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace lathe {

static VariantOp variantOf(Operation* op) { return llvm::cast<VariantOp>(op->getParentOp()); }

//===- The variant -------------------------------------------------------------------------===//

static LogicalResult verifyDims(VariantOp variant) {
  llvm::StringSet<> declared;
  for (StringAttr dim : variant.getDims().getAsRange<StringAttr>()) {
    if (dim.getValue() == tokenDim || dim.getValue() == sourceDim)
      return variant.emitOpError() << "declares the dimension " << dim.getValue()
                                   << ", a name that the chunk form keeps for itself";
    if (!declared.insert(dim.getValue()).second)
      return variant.emitOpError() << "declares the dimension " << dim.getValue() << " twice";
  }
  if (variant.getChunked()) {
    declared.insert(tokenDim);
    declared.insert(sourceDim);
  }
  for (Operation& op : variant.getBody().front()) {
    for (Value result : op.getResults()) {
      const auto type = llvm::dyn_cast<ValueType>(result.getType());
      if (!type)
        continue;
      for (StringAttr dim : type.getDims())
        if (!declared.contains(dim.getValue()))
          return op.emitOpError() << "has the dimension " << dim.getValue()
                                  << ", which the variant does not declare";
      if (variant.valueType(type.getDims()) != type)
        return op.emitOpError() << "has dimensions " << type.str()
                                << "; they stand in the order of the variant: "
                                << variant.valueType(type.getDims()).str();
    }
  }
  return success();
}

static LogicalResult verifyStates(VariantOp variant) {
  for (StateOp state : variant.getBody().getOps<StateOp>())
    if (!variant.findUpdate(state.getName()))
      return state.emitOpError() << "\"" << state.getName()
                                 << "\" has no lathe.update; a state has exactly one";
  llvm::StringSet<> updated;
  for (UpdateOp update : variant.getBody().getOps<UpdateOp>()) {
    StateOp state = variant.findState(update.getName());
    if (!state)
      return update.emitOpError() << "updates \"" << update.getName()
                                  << "\", which is no state of the variant";
    if (!updated.insert(update.getName()).second)
      return update.emitOpError() << "updates the state \"" << update.getName()
                                  << "\" a second time; a state has exactly one update";
    if (update.getValue().getType() != state.getType())
      return update.emitOpError() << "gives the state \"" << update.getName() << "\" dimensions "
                                  << typeOf(update.getValue()).str() << "; it was declared with "
                                  << typeOf(state).str();
  }
  return success();
}

static LogicalResult verifyStored(Operation& op, ValueType type) {
  const auto stored = op.getAttrOfType<ArrayAttr>("stored");
  if (!stored)
    return success();
  llvm::SmallVector<StringAttr> dims;
  for (StringAttr dim : type.getDims())
    if (dim.getValue() != tokenDim)
      dims.push_back(dim);
  const auto names = stored.getAsRange<StringAttr>();
  llvm::SmallVector<StringAttr> order(names.begin(), names.end());
  if (order.size() == dims.size() && std::is_permutation(order.begin(), order.end(), dims.begin()))
    return success();
  return op.emitOpError() << "is stored in an order that is no order of " << type.str();
}

LogicalResult VariantOp::verifyRegions() {
  if (failed(verifyDims(*this)) || failed(verifyDerived(*this)) || failed(verifyStates(*this)))
    return failure();
  llvm::StringSet<> declared, outputs;
  for (Operation& op : getBody().front()) {
    if (llvm::isa<InputOp, ParamOp, ConstantOp, StateOp>(op)) {
      const StringRef name = op.getAttrOfType<StringAttr>("name").getValue();
      if (!declared.insert(name).second)
        return op.emitOpError() << "declares \"" << name << "\" a second time";
      if (failed(verifyStored(op, typeOf(op.getResult(0)))))
        return failure();
    } else if (auto output = llvm::dyn_cast<OutputOp>(op)) {
      if (!outputs.insert(output.getName()).second)
        return output.emitOpError() << "writes \"" << output.getName() << "\" a second time";
      if (failed(verifyStored(op, typeOf(output.getValue()))))
        return failure();
    }
  }
  return success();
}

//===- Values ------------------------------------------------------------------------------===//

LogicalResult ConstantOp::verify() { return requireScalar(*this, getResult()); }
LogicalResult LiteralOp::verify() { return requireScalar(*this, getResult()); }

LogicalResult DimOp::verify() {
  const auto dims = variantOf(*this).getDims().getAsValueRange<StringAttr>();
  if (!llvm::is_contained(dims, getDim()))
    return emitOpError() << "asks for the size of " << getDim()
                         << ", which is no dimension of the variant";
  return requireScalar(*this, getResult());
}

LogicalResult PositionOp::verify() {
  for (StringAttr dim : getType().getDims())
    if (dim.getValue() != tokenDim)
      return emitOpError() << "has dimensions " << getType().str()
                           << "; it is a scalar, or one number a token";
  return success();
}

LogicalResult MapOp::verify() {
  return requireType(*this, getResult(), united(*this, getInputs()),
                     "a map has the dimensions of all of its operands");
}

LogicalResult MapOp::verifyRegions() {
  Block& body = getBody().front();
  if (body.getNumArguments() != getInputs().size() ||
      !llvm::all_of(body.getArgumentTypes(), [](Type type) { return type.isF64(); }))
    return emitOpError() << "has a body of " << body.getNumArguments()
                         << " arguments; it takes one f64 for each of its " << getInputs().size()
                         << " operands";
  for (Operation& op : body.without_terminator()) {
    const std::optional<lathe::Op> scalar = scalarOpOf(&op);
    if (!scalar && !llvm::isa<arith::ConstantOp>(op))
      return op.emitOpError() << "is no scalar operation of a map";
    if (scalar && op.getNumOperands() != static_cast<unsigned>(arity(*scalar)))
      return op.emitOpError() << "takes " << arity(*scalar) << " operands";
    if (!op.getResult(0).getType().isF64())
      return op.emitOpError() << "is of type " << op.getResult(0).getType()
                              << "; maps compute in f64";
  }
  return success();
}

static LogicalResult verifyReduction(Operation* op, Value input, StringRef dim, Value result) {
  if (!typeOf(input).has(dim))
    return op->emitOpError() << "goes over " << dim << ", which " << typeOf(input).str()
                             << " does not have";
  return requireType(op, result, united(op, input, dim),
                     "the result has every dimension of the operand but that one");
}

LogicalResult SumOp::verify() { return verifyReduction(*this, getInput(), getDim(), getResult()); }
LogicalResult MaxOp::verify() { return verifyReduction(*this, getInput(), getDim(), getResult()); }

LogicalResult ContractOp::verify() {
  if (!typeOf(getLhs()).has(getDim()) && !typeOf(getRhs()).has(getDim()))
    return emitOpError() << "goes over " << getDim() << ", which neither " << typeOf(getLhs()).str()
                         << " nor " << typeOf(getRhs()).str() << " has";
  return requireType(*this, getResult(), united(*this, {getLhs(), getRhs()}, getDim()),
                     "a contraction has the dimensions of both operands but the contracted one");
}

LogicalResult BroadcastOp::verify() {
  for (StringAttr dim : typeOf(getInput()).getDims())
    if (!getType().has(dim.getValue()))
      return emitOpError() << "drops the dimension " << dim.getValue()
                           << "; a broadcast only adds dimensions";
  return success();
}

}  // namespace lathe
