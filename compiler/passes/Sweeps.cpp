#include "compiler/passes/Sweeps.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;

namespace lathe {

namespace {

using States = llvm::SmallSetVector<Operation*, 4>;

class Splitter {
public:
  explicit Splitter(VariantOp variant) : variant(variant) {
    for (Operation& op : variant.getBody().front()) {
      States& own = behind[&op];
      if (llvm::isa<StateOp>(op)) {
        own.insert(&op);
        waiting.insert(&op);
      }
      for (Value operand : op.getOperands())
        insert(own, behind.find(operand.getDefiningOp())->second);
    }
  }

  std::vector<Sweep> run() {
    std::vector<Sweep> sweeps;
    bool reverse = false;
    for (int stuck = 0; !waiting.empty() && stuck < 2; reverse = !reverse) {
      const States moved = movable(reverse);
      stuck = moved.empty() ? stuck + 1 : 0;
      if (!moved.empty())
        sweeps.push_back(sweepOf(moved, reverse));
    }
    if (!waiting.empty())
      sweeps.clear();
    else if (sweeps.empty())
      sweeps.push_back(sweepOf({}, false));
    return sweeps;
  }

private:
  static void insert(States& states, const States& more) {
    states.insert(more.begin(), more.end());
  }

  /// The states of one direction that need nothing but each other and what is done.
  States movable(bool reverse) {
    States found;
    for (Operation* op : waiting)
      if (llvm::cast<StateOp>(op).getReverse() == reverse)
        found.insert(op);
    const auto isReady = [&](Operation* op) {
      UpdateOp update = variant.findUpdate(llvm::cast<StateOp>(op).getName());
      return llvm::all_of(behind[update], [&](Operation* state) {
        return done.contains(state) || found.contains(state);
      });
    };
    while (found.remove_if([&](Operation* op) { return !isReady(op); }))
      continue;
    return found;
  }

  Sweep sweepOf(const States& moved, bool reverse) {
    Sweep sweep;
    sweep.reverse = reverse;
    llvm::SmallPtrSet<Operation*, 32> needed;
    for (Operation* op : moved) {
      sweep.updated.push_back(llvm::cast<StateOp>(op));
      need(variant.findUpdate(sweep.updated.back().getName()), needed);
    }
    const States before = done;
    insert(done, moved);
    waiting.remove_if([&](Operation* op) { return moved.contains(op); });
    for (OutputOp output : variant.getBody().getOps<OutputOp>()) {
      if (written.contains(output) ||
          !llvm::all_of(behind[output], [&](Operation* op) { return done.contains(op); }))
        continue;
      written.insert(output);
      sweep.outputs.push_back(output);
      need(output, needed);
    }
    for (Operation& op : variant.getBody().front()) {
      if (!needed.contains(&op))
        continue;
      sweep.ops.push_back(&op);
      if (before.contains(&op))
        sweep.given.push_back(llvm::cast<StateOp>(op));
    }
    return sweep;
  }

  static void need(Operation* op, llvm::SmallPtrSetImpl<Operation*>& needed) {
    if (!needed.insert(op).second)
      return;
    for (Value operand : op->getOperands())
      need(operand.getDefiningOp(), needed);
  }

  VariantOp variant;
  llvm::DenseMap<Operation*, States> behind;  ///< The states that an operation is computed from.
  States waiting, done;
  llvm::SmallPtrSet<Operation*, 4> written;
};

}  // namespace

std::vector<Sweep> splitSweeps(VariantOp variant) { return Splitter(variant).run(); }

}  // namespace lathe
