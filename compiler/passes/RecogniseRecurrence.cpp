#include "compiler/passes/AffineForm.h"
#include "compiler/passes/LogDomain.h"
#include "compiler/passes/Passes.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace lathe {

#define GEN_PASS_DEF_RECOGNISERECURRENCE
#include "compiler/passes/Passes.h.inc"

namespace {

/// Whether a value is computed from anything that has this dimension.
bool dependsOn(Value value, StringRef dim) {
  if (typeOf(value).has(dim))
    return true;
  Operation* op = value.getDefiningOp();
  return llvm::any_of(op->getOperands(), [&](Value operand) { return dependsOn(operand, dim); });
}

/// The dimension of a state that its rank-1 terms contract, else the one that its first reader
/// does, else its first; empty for a state without dimensions.
StringRef findKey(VariantOp variant, StateOp state) {
  const ArrayRef<StringAttr> dims = typeOf(state).getDims();
  if (dims.size() != 2)
    return dims.empty() ? StringRef() : dims[0].getValue();
  llvm::SmallVector<StringRef> fitting;
  for (StringAttr dim : dims) {
    const AffineAnalysis analysis(variant, state, dim.getValue());
    const AffineForm* form = analysis.find(variant.findUpdate(state.getName()).getValue());
    if (form && !form->broken)
      fitting.push_back(dim.getValue());
  }
  if (fitting.size() != dims.size())
    return fitting.empty() ? dims[0].getValue() : fitting[0];
  const AffineAnalysis analysis(variant, state, dims[0].getValue());
  for (ContractOp read : variant.getBody().getOps<ContractOp>())
    for (Value operand : {read.getLhs(), read.getRhs()})
      if (analysis.find(operand) && typeOf(operand).getDims().size() == 2 &&
          typeOf(operand).has(read.getDim()) && typeOf(state).has(read.getDim()))
        return read.getDim();
  return dims[0].getValue();
}

/// Brings the update of one state to the normal form.
class StateRecognition {
public:
  StateRecognition(VariantOp variant, StateOp state, bool scalarsWithKey)
      : state(state), update(variant.findUpdate(state.getName())),
        analysis(variant, state, findKey(variant, state)), builder(variant, OpBuilder(update)),
        scalarsWithKey(scalarsWithKey) {}

  /// Replaces the update, or remarks why not.
  void run() {
    if (typeOf(state).getDims().size() > 2)
      return refuse(state, "it has more than two dimensions");
    Value value = update.getValue();
    const AffineForm* form = analysis.find(value);
    if (!form || (!form->broken && form->decays.empty()))
      return refuse(update, "its update drops the old state");
    if (form->broken)
      return refuse(form->broken, form->reason);

    Operation* definition = value.getDefiningOp();
    builder.setInsertionPointAfter(definition);
    builder.setLoc(update.getLoc());
    if (!takeDecay(form->decays) || !takeOuter(form->plains))
      return;
    takeReads(form->reads);
    const bool isFirst =
        typeOf(state).isScalar() || typeOf(state).getDims()[0].getValue() == analysis.keyDim();
    const StringAttr over = isFirst ? StringAttr() : builder.getStringAttr(analysis.keyDim());
    auto affine = builder.create<AffineOp>(builder.loc(), state.getType(), state, decays, lefts,
                                           rights, keys, values, over);
    rewriteReads(value);
    if (definition == state)
      update.getValueMutable().assign(affine);
    else
      value.replaceAllUsesWith(affine);
  }

private:
  void refuse(Operation* at, const Twine& reason) {
    at->emitRemark() << "the recurrence of " << state.getName() << " is not recognised: " << reason
                     << "; only the sequential form remains";
  }

  /// exp(sum of decays) is the factor of the old state.
  bool takeDecay(ArrayRef<Product> products) {
    if (products.size() > 1)
      return takeSumOfDecays(products);
    if (products[0].negative) {
      refuse(update, "the factor of the old state is negative");
      return false;
    }
    std::map<std::string, Value> logarithms;  // One for each dimension, the scalar one first.
    for (Value factor : analysis.factorsOf(products[0].factors)) {
      const Value log = logarithm(builder, factor);
      if (!log) {
        refuse(factor.getDefiningOp(),
               "this decay is not certain to be positive; write it as exp(...) or sigmoid(...), or "
               "declare it 'in log' and write exp(...) of it");
        return false;
      }
      for (Value term : separated(log)) {
        if (typeOf(term).getDims().size() > 1) {
          refuse(factor.getDefiningOp(), "its decay over " + typeOf(factor).str() +
                                             " is no product of decays over one dimension each");
          return false;
        }
        Value& sum = logarithms[typeOf(term).isScalar() ? "" : typeOf(term).getDims()[0].str()];
        sum = sum ? builder.map(Op::add, {sum, term}) : term;
      }
    }
    for (const auto& [dim, log] : logarithms)
      decays.push_back(log);
    return true;
  }

  /// A log-decay as terms of one dimension each, as far as sums and scalar factors allow.
  llvm::SmallVector<Value> separated(Value log) {
    if (typeOf(log).getDims().size() < 2)
      return {log};
    auto map = log.getDefiningOp<MapOp>();
    const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
    if (op != Op::add && op != Op::subtract && op != Op::negate && op != Op::multiply)
      return {log};
    const OperandRange args = map.getInputs();
    llvm::SmallVector<Value> terms;
    if (op == Op::multiply) {
      const bool isFirst = typeOf(args[0]).isScalar();
      if (!isFirst && !typeOf(args[1]).isScalar())
        return {log};
      for (Value term : separated(args[isFirst ? 1 : 0]))
        terms.push_back(builder.map(Op::multiply, {args[isFirst ? 0 : 1], term}));
      return terms;
    }
    for (const auto& [index, arg] : llvm::enumerate(args))
      for (Value term : separated(arg))
        terms.push_back(op == Op::negate || (index == 1 && op == Op::subtract)
                            ? builder.map(Op::negate, term)
                            : term);
    return terms;
  }

  /// D1 S + D2 S is (D1 + D2) S.
  bool takeSumOfDecays(ArrayRef<Product> products) {
    Value sum;
    for (const Product& product : products)
      if (!product.negative)
        sum = sum ? builder.map(Op::add, {sum, product.magnitude(builder)})
                  : product.magnitude(builder);
    if (!sum) {
      refuse(update, "the factor of the old state is negative");
      return false;
    }
    for (const Product& product : products)
      if (product.negative)
        sum = builder.map(Op::subtract, {sum, product.magnitude(builder)});
    return takeDecay(Product{false, {sum}});
  }

  /// Terms that read the same row of the state are one.
  void takeReads(ArrayRef<AffineForm::Read> reads) {
    llvm::MapVector<Value, Value> leftOf;
    for (const AffineForm::Read& read : reads) {
      Value& left = leftOf[read.right];
      const Value term = read.left.value(builder);
      left = left ? builder.map(Op::add, {left, term}) : term;
    }
    for (const auto& [right, left] : leftOf) {
      lefts.push_back(left);
      rights.push_back(right);
    }
  }

  bool takeOuter(ArrayRef<Product> products) {
    for (const Product& product : products)
      if (!takeOuterOf(product))
        return false;
    return true;
  }

  /// Distributes over the sums that a factor over both dimensions holds, then sorts the factors of
  /// each product.
  bool takeOuterOf(const Product& product) {
    const llvm::SmallVector<Value> factors = analysis.factorsOf(product.factors);
    for (size_t at = 0; at < factors.size(); ++at) {
      if (!hasKey(factors[at]) || !hasValue(factors[at]))
        continue;
      MapOp map = factors[at].getDefiningOp<MapOp>();
      const std::optional<Op> op = map ? scalarOpOf(map) : std::nullopt;
      if (op == Op::divide && !(hasKey(map.getInputs()[1]) && hasValue(map.getInputs()[1]))) {
        Product part{product.negative, {factors.begin(), factors.end()}};
        part.factors[at] = map.getInputs()[0];
        part.factors.push_back(builder.map(Op::divide, {builder.literal(1), map.getInputs()[1]}));
        return takeOuterOf(part);
      }
      if (op != Op::add && op != Op::subtract && op != Op::negate) {
        refuse(factors[at].getDefiningOp(),
               "a value over " + typeOf(factors[at]).str() +
                   " is added to it that is no outer product of two vectors");
        return false;
      }
      for (const auto& [index, term] : llvm::enumerate(map.getInputs())) {
        Product part{product.negative != (op == Op::negate || (op == Op::subtract && index == 1)),
                     {factors.begin(), factors.end()}};
        part.factors[at] = term;
        if (!takeOuterOf(part))
          return false;
      }
      return true;
    }
    sortFactors(product.negative, factors);
    return true;
  }

  void sortFactors(bool negative, ArrayRef<Value> factors) {
    const bool toKey = scalarsWithKey || analysis.valueDim().empty();
    Product key{toKey && negative, {}}, value{!toKey && negative, {}};
    for (Value factor : factors)
      for (Value part :
           hasKey(factor) && !toKey ? withoutScalars(factor) : llvm::SmallVector<Value>{factor})
        (hasKey(part) || (toKey && !hasValue(part)) ? key : value).factors.push_back(part);
    keys.push_back(key.value(builder));
    values.push_back(value.value(builder));
  }

  /// step * k becomes step and k. A scalar that is computed from a vector over the key, such as its
  /// norm, stays with it.
  llvm::SmallVector<Value> withoutScalars(Value factor) const {
    MapOp map = definingMap(factor, Op::multiply);
    if (!map)
      return {factor};
    const auto separate = [&](Value scalar) {
      return typeOf(scalar).isScalar() && !dependsOn(scalar, analysis.keyDim());
    };
    for (auto [scalar, rest] : {std::pair{map.getInputs()[0], map.getInputs()[1]},
                                std::pair{map.getInputs()[1], map.getInputs()[0]}}) {
      if (!separate(scalar))
        continue;
      llvm::SmallVector<Value> parts = withoutScalars(rest);
      parts.push_back(scalar);
      return parts;
    }
    return {factor};
  }

  /// What reads the state in the middle of the token reads the old state instead.
  void rewriteReads(Value updated) {
    for (ContractOp read : llvm::make_early_inc_range(state->getBlock()->getOps<ContractOp>())) {
      const bool rewritten =
          llvm::any_of(ValueRange{read.getLhs(), read.getRhs()}, [&](Value operand) {
            const AffineForm* form = analysis.find(operand);
            return form && !form->broken && !form->decays.empty() && operand != state.getResult() &&
                   operand != updated;
          });
      const AffineForm* form = analysis.find(read);
      if (!rewritten || form->broken)
        continue;
      builder.setInsertionPoint(read);
      builder.setLoc(read.getLoc());
      Value sum;
      const auto add = [&](Value term) { sum = sum ? builder.map(Op::add, {sum, term}) : term; };
      for (const AffineForm::Read& term : form->reads)
        add(builder.map(Op::multiply, {term.left.value(builder),
                                       builder.contract(term.right, state, analysis.keyDim())}));
      for (const Product& term : form->plains)
        add(term.value(builder));
      read.replaceAllUsesWith(builder.broadcast(sum, read.getType()));
    }
  }

  bool hasKey(Value value) const { return typeOf(value).has(analysis.keyDim()); }
  bool hasValue(Value value) const { return typeOf(value).has(analysis.valueDim()); }

  StateOp state;
  UpdateOp update;
  AffineAnalysis analysis;
  TokenBuilder builder;
  bool scalarsWithKey;
  llvm::SmallVector<Value> decays, lefts, rights, keys, values;
};

/// Whether scalar factors of k * v belong to k: where k is shared with a normaliser or a rank-1
/// term, they are too.
bool keysAreShared(VariantOp variant) {
  for (StateOp state : variant.getBody().getOps<StateOp>()) {
    if (typeOf(state).getDims().size() == 1)
      return true;
    const AffineAnalysis analysis(variant, state, findKey(variant, state));
    const AffineForm* form = analysis.find(variant.findUpdate(state.getName()).getValue());
    if (form && !form->broken && !form->reads.empty())
      return true;
  }
  return false;
}

struct RecogniseRecurrencePass : impl::RecogniseRecurrenceBase<RecogniseRecurrencePass> {
  void runOnOperation() override {
    VariantOp variant = getOperation();
    if (variant.getChunked())
      return;
    const bool scalarsWithKey = keysAreShared(variant);
    for (StateOp state : llvm::make_early_inc_range(variant.getBody().getOps<StateOp>()))
      if (!variant.findUpdate(state.getName()).getValue().getDefiningOp<AffineOp>())
        StateRecognition(variant, state, scalarsWithKey).run();
  }
};

}  // namespace
}  // namespace lathe
