// The rules of the operations of the normal form and of the chunk form.
#include "compiler/dialect/Rules.h"

using namespace mlir;

namespace lathe {

//===- Normal form -------------------------------------------------------------------------===//

StringRef AffineOp::keyDim() {
  const ArrayRef<StringAttr> dims = typeOf(getState()).getDims();
  return getOver() ? *getOver() : dims.empty() ? StringRef() : dims[0].getValue();
}

StringRef AffineOp::valueDim() {
  for (StringAttr dim : typeOf(getState()).getDims())
    if (dim.getValue() != keyDim())
      return dim.getValue();
  return {};
}

LogicalResult AffineOp::verify() {
  const ArrayRef<StringAttr> dims = typeOf(getState()).getDims();
  if (dims.size() > 2)
    return emitOpError() << "updates a state over " << typeOf(getState()).str()
                         << "; the normal form has at most two dimensions";
  if (getType() != getState().getType())
    return requireType(*this, getResult(), typeOf(getState()), "it has those of its state");
  if (getLefts().size() != getRights().size() || getKeys().size() != getValues().size())
    return emitOpError() << "has terms with one factor; rank1 and outer take pairs";
  if (getOver() && !typeOf(getState()).has(*getOver()))
    return emitOpError() << "contracts " << *getOver() << ", which its state over "
                         << typeOf(getState()).str() << " does not have";
  llvm::SmallVector<StringRef> key, value;
  if (!keyDim().empty())
    key.push_back(keyDim());
  if (!valueDim().empty())
    value.push_back(valueDim());
  llvm::SmallVector<StringRef> both(key);
  both.append(value);
  for (Value decay : getDecays()) {
    if (typeOf(decay).getDims().size() > 1)
      return emitOpError() << "has a log-decay over " << typeOf(decay).str()
                           << "; each has at most one dimension";
    if (failed(requireWithin(*this, decay, both, "a log-decay")))
      return failure();
  }
  for (Value left : getLefts())
    if (failed(requireWithin(*this, left, key, "the left of a rank-1 term")))
      return failure();
  for (Value right : getRights())
    if (failed(requireWithin(*this, right, key, "the right of a rank-1 term")))
      return failure();
  for (Value factor : getKeys())
    if (failed(requireWithin(*this, factor, key, "a key")))
      return failure();
  for (Value factor : getValues())
    if (failed(requireWithin(*this, factor, value, "a value")))
      return failure();
  return success();
}

LogicalResult RunningMaxOp::verify() {
  if (typeOf(getState()).has(tokenDim))
    return emitOpError() << "starts from a value for every token; it starts from one state";
  return requireType(*this, getResult(), united(*this, getOperands()),
                     "it has the dimensions of all of its operands");
}

//===- Chunk form --------------------------------------------------------------------------===//

static LogicalResult requireToken(Operation* op, Value value) {
  if (typeOf(value).has(tokenDim))
    return success();
  return op->emitOpError() << "takes a value for every token of the chunk; " << typeOf(value).str()
                           << " has no dimension token";
}

static LogicalResult requireScores(Operation* op, Value value) {
  const ArrayRef<StringAttr> dims = typeOf(value).getDims();
  if (dims.size() == 2 && dims[0].getValue() == tokenDim && dims[1].getValue() == sourceDim)
    return success();
  return op->emitOpError() << "takes or gives scores with dimensions " << typeOf(value).str()
                           << "; scores have [token, source]";
}

LogicalResult CumulateOp::verify() {
  if (failed(requireToken(*this, getInput())))
    return failure();
  return requireType(*this, getResult(), typeOf(getInput()), "it has those of its operand");
}

LogicalResult ScoresOp::verify() {
  for (Value operand : getOperands())
    if (failed(requireToken(*this, operand)) ||
        failed(requireWithin(*this, operand, {tokenDim, getDim()}, "an operand")))
      return failure();
  return requireScores(*this, getResult());
}

/// A log-decay of every token whose other dimensions `values` has.
static LogicalResult requireDecay(Operation* op, Value decay, Value values) {
  if (!decay)
    return success();
  if (failed(requireToken(op, decay)))
    return failure();
  for (StringAttr dim : typeOf(decay).getDims())
    if (!typeOf(values).has(dim.getValue()))
      return op->emitOpError() << "has a log-decay over " << dim.getValue() << ", which "
                               << typeOf(values).str() << " does not have";
  return success();
}

LogicalResult ApplyOp::verify() {
  if (failed(requireScores(*this, getScores())) || failed(requireToken(*this, getValues())) ||
      failed(requireDecay(*this, getDecay(), getValues())))
    return failure();
  return requireType(*this, getResult(), typeOf(getValues()), "it has those of the values");
}

LogicalResult SolveOp::verify() {
  const size_t count = getRights().size();
  if (getBlocks().size() != count * count || getNumResults() != count)
    return emitOpError() << "has " << count << " right sides, " << getBlocks().size()
                         << " blocks and " << getNumResults()
                         << " results; n right sides take n * n blocks and give n results";
  for (Value block : getBlocks())
    if (failed(requireScores(*this, block)))
      return failure();
  for (auto [right, result] : llvm::zip(getRights(), getResults())) {
    if (failed(requireToken(*this, right)) || failed(requireDecay(*this, getDecay(), right)))
      return failure();
    if (right.getType() != getRights()[0].getType() || result.getType() != right.getType())
      return emitOpError() << "has right sides or results of different dimensions";
  }
  return success();
}

}  // namespace lathe
