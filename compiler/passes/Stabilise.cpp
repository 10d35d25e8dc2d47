// Keeps what grows by exp(i), i an input of any size, finite (Beck et al. 2024, "xLSTM", appendix
// A). The states that such a gate writes hold S e^{-m} in place of S, with m the running maximum of
// i in log space,
//
//   m'  = max(m + g, i)        S' e^{-m'} = e^{g + m - m'} (S e^{-m}) + e^{i - m'} k v
//
// so that no exponent is above zero. What is read from them carries the factor e^m through
// products, sums and maxima until a quotient takes it away; where an output or another state would
// see it, the variant stays as it is written.
#include "compiler/dialect/Build.h"
#include "compiler/passes/LogDomain.h"
#include "compiler/passes/Passes.h"
#include "mlir/IR/OwningOpRef.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace lathe {

#define GEN_PASS_DEF_STABILISE
#include "compiler/passes/Passes.h.inc"

namespace {

/// The exponents e of the factors exp(e) of a product that no bound is known of.
void findExponents(Value product, llvm::SmallVectorImpl<Value>& exponents) {
  auto map = product.getDefiningOp<MapOp>();
  const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
  if (op == Op::multiply || op == Op::negate)
    for (Value factor : map.getInputs())
      findExponents(factor, exponents);
  else if (op == Op::exp && !isBounded(map.getInputs()[0]))
    exponents.push_back(map.getInputs()[0]);
}

/// States that one gate writes, with the same decay, so that one maximum serves them all.
struct Group {
  llvm::SmallVector<AffineOp> updates;
  llvm::SmallVector<Value> decays;
  llvm::SmallSetVector<Value, 2> exponents;
};

/// Rewrites one group of states of a variant.
class Stabiliser {
public:
  Stabiliser(VariantOp variant, Group& group)
      : variant(variant), group(group), builder(variant, OpBuilder(group.updates.front())) {}

  /// False where the factor does not cancel; the variant is then spoilt.
  bool run() {
    if (!makeMaximum())
      return false;
    for (AffineOp& update : group.updates)
      rewrite(update);
    llvm::SmallVector<Operation*> ops;
    for (Operation& op : variant.getBody().front())
      ops.push_back(&op);
    for (Operation* op : ops)
      if (!pass(*op))
        return false;
    if (meetsNumbers) {  // Beside a number that is not scaled, e^{-m} must not grow either.
      builder.setInsertionPoint(after);
      after.getInputMutable().assign(
          builder.map(Op::maximum, {after.getInput(), builder.literal(0)}));
    }
    return true;
  }

private:
  /// A value is `times` factors e^m too small, m before or after the update.
  struct Scale {
    Value m;
    int times = 0;
    bool operator==(const Scale&) const = default;
  };

  bool makeMaximum() {
    StateOp first = group.updates[0].getState().getDefiningOp<StateOp>();
    builder.setLoc(first.getLoc());
    Value input;
    for (Value exponent : group.exponents)
      input = input ? builder.map(Op::maximum, {input, exponent}) : exponent;
    if (hasPlainTerm())
      input = builder.map(Op::maximum, {input, builder.literal(0)});
    const ValueType type = typeOf(input);
    if (type.getDims().size() > 1)
      return false;
    Value decay = builder.literal(0);
    for (Value own : group.decays)
      if (typeOf(own).isScalar() || typeOf(own) == type)
        decay = builder.map(Op::add, {decay, own});
    {
      const OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointAfter(first);
      before = builder.create<StateOp>(builder.loc(), type,
                                       builder.getStringAttr(scaleName(first.getName())),
                                       first.getReverseAttr(), builder.getUnitAttr(), ArrayAttr());
    }
    after = builder.create<RunningMaxOp>(builder.loc(), type, before, decay, input, UnitAttr(),
                                         UnitAttr());
    const OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(after->getBlock());
    builder.create<UpdateOp>(builder.loc(), before.getName(), after);
    return true;
  }

  static llvm::SmallVector<Value> exponentsOf(Value key, Value value) {
    llvm::SmallVector<Value> exponents;
    findExponents(key, exponents);
    findExponents(value, exponents);
    return exponents;
  }

  bool hasPlainTerm() {
    return llvm::any_of(group.updates, [](AffineOp update) {
      return llvm::any_of(llvm::zip(update.getKeys(), update.getValues()), [](const auto& term) {
        return exponentsOf(std::get<0>(term), std::get<1>(term)).empty();
      });
    });
  }

  /// The update of S e^{-m}.
  void rewrite(AffineOp& update) {
    builder.setInsertionPoint(update);
    builder.setLoc(update.getLoc());
    llvm::SmallVector<Value> decays(update.getDecays()), keys(update.getKeys()),
        values(update.getValues());
    decays.push_back(builder.map(Op::subtract, {before, after}));
    for (auto [key, value] : llvm::zip(keys, values)) {
      if (exponentsOf(key, value).empty()) {
        Value& scaled =
            typeOf(before).isScalar() || typeOf(before).has(update.keyDim()) ? key : value;
        scaled = builder.map(Op::multiply, {scaled, powerOf(after, -1)});
        continue;
      }
      key = lowered(key);
      value = lowered(value);
    }
    auto scaled =
        builder.create<AffineOp>(builder.loc(), update.getType(), update.getState(), decays,
                                 ValueRange(), ValueRange(), keys, values, update.getOverAttr());
    update.getResult().replaceAllUsesWith(scaled);
    update.erase();
    update = scaled;
    scales[scaled.getState()] = {before, 1};
    scales[scaled] = {after, 1};
  }

  /// exp(i) * x as exp(i - m') * x.
  Value lowered(Value product) {
    auto map = product.getDefiningOp<MapOp>();
    const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
    if (op == Op::exp && group.exponents.contains(map.getInputs()[0]))
      return builder.map(Op::exp, builder.map(Op::subtract, {map.getInputs()[0], after}));
    if (op != Op::multiply && op != Op::negate)
      return product;
    llvm::SmallVector<Value> factors;
    for (Value factor : map.getInputs())
      factors.push_back(lowered(factor));
    return builder.map(*op, factors);
  }

  /// e^{times m}
  Value powerOf(Value m, int times) {
    const Value exponent = times == 1 ? m : builder.map(Op::multiply, {builder.literal(times), m});
    return builder.map(Op::exp, exponent);
  }

  Scale scaleOf(Value value) const { return scales.lookup(value); }

  /// Brings an operand to another scale; false where that would make e^m itself.
  bool bring(OpOperand& operand, Scale wanted) {
    const Scale own = scaleOf(operand.get());
    if (own == wanted)
      return true;
    if (own.m && wanted.m && own.m != wanted.m)
      return false;
    const int times = own.times - wanted.times;
    if (times > 0)
      return false;
    const Value m = own.m ? own.m : wanted.m;
    meetsNumbers = true;
    const Value scaled = builder.map(Op::multiply, {operand.get(), powerOf(m, times)});
    if (scaled.getType() != operand.get().getType())
      return false;
    operand.set(scaled);
    return true;
  }

  /// Carries the scale of the operands through one operation.
  bool pass(Operation& op) {
    if (llvm::none_of(op.getOperands(), [&](Value v) { return scaleOf(v).times != 0; }))
      return true;
    builder.setInsertionPoint(&op);
    builder.setLoc(op.getLoc());
    if (auto map = llvm::dyn_cast<MapOp>(op))
      return passMap(map, *scalarOpOf(map));
    if (auto contract = llvm::dyn_cast<ContractOp>(op))
      return passProduct(op, contract.getLhs(), contract.getRhs(), false, contract.getDim());
    if (auto sum = llvm::dyn_cast<SumOp>(op))
      return passReduction(op, sum.getInput(), sum.getDim());
    if (auto max = llvm::dyn_cast<MaxOp>(op))
      return passReduction(op, max.getInput(), max.getDim());
    if (auto broadcast = llvm::dyn_cast<BroadcastOp>(op))
      return passReduction(op, broadcast.getInput(), "");
    if (auto update = llvm::dyn_cast<UpdateOp>(op))
      if (llvm::is_contained(group.updates, update.getValue().getDefiningOp()))
        return true;
    if (llvm::is_contained(group.updates, &op))
      return llvm::all_of(llvm::drop_begin(op.getOperands()),
                          [&](Value v) { return scaleOf(v).times == 0; });
    return bringAll(op, {});
  }

  bool bringAll(Operation& op, Scale wanted) {
    for (OpOperand& operand : op.getOpOperands())
      if (!bring(operand, wanted))
        return false;
    return true;
  }

  bool passMap(MapOp map, Op op) {
    const OperandRange args = map.getInputs();
    switch (op) {
    case Op::multiply:
    case Op::divide:
      return passProduct(*map, args[0], args[1], op == Op::divide, "");
    case Op::negate:
    case Op::abs:
      scales[map] = scaleOf(args[0]);
      return true;
    case Op::add:
    case Op::subtract:
    case Op::minimum:
    case Op::maximum: {
      const Scale a = scaleOf(args[0]), b = scaleOf(args[1]);
      scales[map] = a.times >= b.times ? a : b;
      return bringAll(*map, scales[map]);
    }
    default:
      return bringAll(*map, {});
    }
  }

  bool passProduct(Operation& op, Value lhs, Value rhs, bool divides, StringRef contracted) {
    const Scale a = scaleOf(lhs), b = scaleOf(rhs);
    if (a.m && b.m && a.m != b.m)
      return false;
    Scale scale{a.m ? a.m : b.m, a.times + (divides ? -b.times : b.times)};
    if (scale.times == 0)
      scale = {};
    else if (!contracted.empty() && typeOf(scale.m).has(contracted))
      return false;
    scales[op.getResult(0)] = scale;
    return true;
  }

  bool passReduction(Operation& op, Value input, StringRef dim) {
    scales[op.getResult(0)] = scaleOf(input);
    return !typeOf(scaleOf(input).m).has(dim);
  }

  VariantOp variant;
  Group& group;
  TokenBuilder builder;
  StateOp before;
  RunningMaxOp after;
  llvm::DenseMap<Value, Scale> scales;
  bool meetsNumbers = false;
};

/// The groups of a variant in normal form. A state with rank-1 terms is in none.
llvm::SmallVector<Group> groupsOf(VariantOp variant) {
  llvm::SmallVector<Group> groups;
  for (AffineOp update : variant.getBody().getOps<AffineOp>()) {
    llvm::SmallSetVector<Value, 2> exponents;
    bool fits = update.getLefts().empty();
    for (const auto& [key, value] : llvm::zip(update.getKeys(), update.getValues())) {
      llvm::SmallVector<Value> own;
      findExponents(key, own);
      findExponents(value, own);
      fits &= own.size() < 2;
      exponents.insert(own.begin(), own.end());
    }
    if (exponents.empty() || !fits)
      continue;
    const auto same = llvm::find_if(groups, [&](const Group& group) {
      return llvm::equal(group.decays, update.getDecays()) &&
             group.exponents.getArrayRef() == exponents.getArrayRef();
    });
    Group& group = same == groups.end() ? groups.emplace_back() : *same;
    group.updates.push_back(update);
    group.decays.assign(update.getDecays().begin(), update.getDecays().end());
    group.exponents = exponents;
  }
  return groups;
}

struct StabilisePass : impl::StabiliseBase<StabilisePass> {
  void runOnOperation() override {
    VariantOp variant = getOperation();
    if (variant.getChunked())
      return;
    for (size_t at = 0; at < groupsOf(variant).size();) {
      OwningOpRef<VariantOp> attempt = variant.clone();
      Group group = groupsOf(*attempt)[at];
      const Location loc = group.updates[0].getLoc();
      if (Stabiliser(*attempt, group).run()) {
        variant.getBody().takeBody(attempt->getBody());
        continue;
      }
      emitRemark(loc) << "nothing keeps the gate that writes to "
                      << group.updates[0].getState().getDefiningOp<StateOp>().getName()
                      << " finite: it is an exponential, and what is read from the state is not "
                         "divided by what it wrote";
      ++at;
    }
  }
};

}  // namespace
}  // namespace lathe
