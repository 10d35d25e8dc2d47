#include "compiler/dialect/Rules.h"

using namespace mlir;

namespace lathe {

ValueType united(Operation* op, ValueRange values, StringRef removed, StringRef added) {
  return united(llvm::cast<VariantOp>(op->getParentOp()), values, removed, added);
}

LogicalResult requireType(Operation* op, Value found, ValueType expected, StringRef rule) {
  if (found.getType() == expected)
    return success();
  return op->emitOpError() << "has dimensions " << typeOf(found).str() << "; " << rule << ": "
                           << expected.str();
}

LogicalResult requireScalar(Operation* op, Value value) {
  if (typeOf(value).isScalar())
    return success();
  return op->emitOpError() << "has dimensions " << typeOf(value).str() << "; it is a scalar";
}

LogicalResult requireWithin(Operation* op, Value value, ArrayRef<StringRef> accepted,
                            StringRef what) {
  for (StringAttr dim : typeOf(value).getDims())
    if (!llvm::is_contained(accepted, dim.getValue())) {
      InFlightDiagnostic error = op->emitOpError();
      error << "has " << what << " over " << dim.getValue() << "; accepted: a scalar";
      for (StringRef name : accepted)
        error << ", " << name;
      return error;
    }
  return success();
}

}  // namespace lathe
