#include "compiler/dialect/Build.h"
#include "compiler/passes/Passes.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace lathe {

#define GEN_PASS_DEF_SIMPLIFY
#include "compiler/passes/Passes.h.inc"

namespace {

/// A map of several scalar operations becomes one map for each, so that what follows sees single
/// operations.
struct SplitMap : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MapOp map, PatternRewriter& rewriter) const override {
    if (scalarOpOf(map))
      return failure();
    TokenBuilder builder(llvm::cast<VariantOp>(map->getParentOp()), rewriter);
    Block& body = map.getBody().front();
    IRMapping values;
    values.map(body.getArguments(), map.getInputs());
    for (Operation& op : body.without_terminator()) {
      builder.setLoc(op.getLoc());
      if (auto constant = llvm::dyn_cast<arith::ConstantOp>(op)) {
        const auto number = llvm::cast<FloatAttr>(constant.getValue());
        values.map(constant, builder.literal(number.getValueAsDouble()));
        continue;
      }
      llvm::SmallVector<Value> operands;
      for (Value operand : op.getOperands())
        operands.push_back(values.lookup(operand));
      values.map(op.getResult(0), builder.map(*scalarOpOf(&op), operands));
    }
    Value result = values.lookup(body.getTerminator()->getOperand(0));
    builder.setLoc(map.getLoc());
    rewriter.replaceOp(map, builder.broadcast(result, map.getType()));
    return success();
  }
};

struct SimplifyPass : impl::SimplifyBase<SimplifyPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitMap>(&getContext());
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    IRRewriter rewriter(&getContext());
    DominanceInfo dominance(getOperation());
    eliminateCommonSubExpressions(rewriter, dominance, getOperation());
  }
};

}  // namespace
}  // namespace lathe
