#include "compiler/passes/Slice.h"

#include "compiler/dialect/Build.h"
#include "mlir/IR/IRMapping.h"

#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;

namespace lathe {

namespace {

using Operations = llvm::SmallPtrSet<Operation*, 32>;

/// Marks what an operation takes, and of a state how it moves.
void need(VariantOp variant, Operation* op, Operations& needed) {
  if (!needed.insert(op).second)
    return;
  for (Value operand : op->getOperands())
    need(variant, operand.getDefiningOp(), needed);
  if (auto state = llvm::dyn_cast<StateOp>(op))
    need(variant, variant.findUpdate(state.getName()), needed);
}

}  // namespace

OwningOpRef<VariantOp> Slice::take(VariantOp whole, StringRef suffix) const {
  IRMapping values;
  VariantOp part = llvm::cast<VariantOp>(whole->clone(values));
  const std::string name = (whole.getSymName() + "_" + suffix).str();
  part.setSymName(name);
  Block& body = part.getBody().front();
  TokenBuilder atStart(part, OpBuilder::atBlockBegin(&body));
  TokenBuilder atEnd(part, OpBuilder::atBlockEnd(&body));
  for (const auto& [value, name] : taken) {
    const Value input = atStart.create<InputOp>(
        value.getLoc(), value.getType(), atStart.getStringAttr(name), UnitAttr(), ArrayAttr());
    values.lookup(value).replaceAllUsesWith(input);
  }
  Operations needed;
  for (const auto& [value, name] : given)
    need(part,
         atEnd.create<OutputOp>(value.getLoc(), atEnd.getStringAttr(name), values.lookup(value),
                                ArrayAttr()),
         needed);
  for (OutputOp output : outputs)
    need(part, values.lookup(output.getOperation()), needed);
  for (UpdateOp update : updates) {
    need(part, values.lookup(update.getOperation()), needed);
    need(part, part.findState(update.getName()), needed);
  }
  for (Operation& op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (!needed.contains(&op))
      op.erase();
  return OwningOpRef<VariantOp>(part);
}

}  // namespace lathe
