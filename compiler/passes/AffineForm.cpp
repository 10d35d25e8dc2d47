#include "compiler/passes/AffineForm.h"

#include "compiler/plan/Evaluate.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe {

Value Product::magnitude(TokenBuilder& builder) const {
  if (factors.empty())
    return builder.literal(1);
  Value product = factors[0];
  for (Value factor : llvm::drop_begin(factors))
    product = builder.map(Op::multiply, {product, factor});
  return product;
}

Value Product::value(TokenBuilder& builder) const {
  const Value product = magnitude(builder);
  return negative ? builder.map(Op::negate, product) : product;
}

static AffineForm breakAt(Operation* op, std::string reason) {
  AffineForm form;
  form.broken = op;
  form.reason = std::move(reason);
  return form;
}

static AffineForm negated(AffineForm form) {
  for (Product& product : form.decays)
    product.negative = !product.negative;
  for (AffineForm::Read& read : form.reads)
    read.left.negative = !read.left.negative;
  for (Product& product : form.plains)
    product.negative = !product.negative;
  return form;
}

static AffineForm added(AffineForm a, const AffineForm& b) {
  a.decays.append(b.decays);
  a.reads.append(b.reads);
  a.plains.append(b.plains);
  return a;
}

AffineAnalysis::AffineAnalysis(VariantOp variant, StateOp state, StringRef keyDim)
    : variant(variant), state(state), builder(variant, OpBuilder(state)), key(keyDim) {
  for (StringAttr dim : typeOf(state).getDims())
    if (dim.getValue() != keyDim)
      value = dim.str();
  AffineForm& self = forms[state];
  self.decays.emplace_back();

  llvm::SmallVector<Operation*> ops;
  for (Operation& op : variant.getBody().front())
    ops.push_back(&op);
  for (Operation* op : ops) {
    const bool depends =
        llvm::any_of(op->getOperands(), [&](Value operand) { return forms.contains(operand); });
    if (!depends || op->getNumResults() != 1)
      continue;
    builder.setInsertionPoint(op);
    builder.setLoc(op->getLoc());
    AffineForm form = analyse(*op);
    forms[op->getResult(0)] = std::move(form);
  }
}

const AffineForm* AffineAnalysis::find(Value value) const {
  const auto found = forms.find(value);
  return found == forms.end() ? nullptr : &found->second;
}

bool AffineAnalysis::hasBoth(Value factor) const {
  return !value.empty() && typeOf(factor).has(key) && typeOf(factor).has(value);
}

llvm::SmallVector<Value> AffineAnalysis::factorsOf(ArrayRef<Value> product) const {
  llvm::SmallVector<Value> factors;
  for (Value factor : product) {
    MapOp map = hasBoth(factor) ? definingMap(factor, Op::multiply) : MapOp();
    if (!map) {
      factors.push_back(factor);
      continue;
    }
    const llvm::SmallVector<Value> inputs(map.getInputs());
    llvm::append_range(factors, factorsOf(inputs));
  }
  return factors;
}

AffineForm AffineAnalysis::analyse(Operation& op) {
  for (Value operand : op.getOperands())
    if (const AffineForm* form = find(operand); form && form->broken)
      return *form;
  return llvm::TypeSwitch<Operation*, AffineForm>(&op)
      .Case([&](MapOp map) { return analyseMap(map); })
      .Case([&](BroadcastOp broadcast) { return *find(broadcast.getInput()); })
      .Case([&](SumOp sum) {
        const AffineForm form = *find(sum.getInput());
        return analyseContraction(op, form, builder.literal(1), sum.getDim());
      })
      .Case([&](ContractOp contract) {
        const AffineForm* lhs = find(contract.getLhs());
        const AffineForm* rhs = find(contract.getRhs());
        if (lhs && rhs)
          return breakAt(&op, "a contraction of two values that both depend on it");
        const AffineForm form = lhs ? *lhs : *rhs;
        return analyseContraction(op, form, lhs ? contract.getRhs() : contract.getLhs(),
                                  contract.getDim());
      })
      .Default([&](Operation* other) {
        return breakAt(other, other->getName().getStringRef().str() +
                                  " is applied to a value that depends on it");
      });
}

AffineForm AffineAnalysis::analyseMap(MapOp map) {
  const std::optional<Op> op = scalarOpOf(map);
  if (!op)
    return breakAt(map, "a map of several operations is applied to a value that depends on it");
  const Value a = map.getInputs()[0];
  const Value b = arity(*op) == 2 ? map.getInputs()[1] : Value();
  const AffineForm* formA = find(a);
  const AffineForm* formB = b ? find(b) : nullptr;
  const auto formOf = [](Value value, const AffineForm* form) {
    AffineForm plain;
    plain.plains.push_back({false, {value}});
    return form ? *form : plain;
  };
  switch (*op) {
  case Op::add:
    return added(formOf(a, formA), formOf(b, formB));
  case Op::subtract:
    return added(formOf(a, formA), negated(formOf(b, formB)));
  case Op::negate:
    return negated(*formA);
  case Op::multiply:
    if (formA && formB)
      return breakAt(map, "a product of two values that both depend on it");
    return scaled(formA ? *formA : *formB, formA ? b : a, map);
  case Op::divide:
    if (formB)
      return breakAt(map, "a division by a value that depends on it");
    return scaled(*formA, builder.map(Op::divide, {builder.literal(1), b}), map);
  default:
    return breakAt(map, std::string(name(*op)) + " is applied to a value that depends on it");
  }
}

/// `form` times a value that does not depend on the state.
AffineForm AffineAnalysis::scaled(const AffineForm& form, Value factor, Operation* at) const {
  AffineForm result = form;
  llvm::SmallVector<Value> factors;
  if (literalOf(factor) == -1.0)
    return negated(form);
  for (Value part : factorsOf(factor)) {
    if (!result.reads.empty() && !value.empty() && typeOf(part).has(value))
      return breakAt(at, "what is read from it is scaled over " + value);
    factors.push_back(part);
  }
  for (Product& product : result.decays)
    product.factors.append(factors);
  for (AffineForm::Read& read : result.reads)
    read.left.factors.append(factors);
  for (Product& product : result.plains)
    product.factors.append(factors);
  return result;
}

/// `plain` contracted with a value of this form over `dim`:
///   b @ (D S) = (b D) @ S,  b @ (a (c @ S)) = (b . a) (c @ S),  b @ (x y) = (b . x) y.
AffineForm AffineAnalysis::analyseContraction(Operation& op, const AffineForm& form, Value plain,
                                              StringRef dim) {
  if (dim != key)
    return breakAt(&op, "it is contracted over " + dim.str() + ", not over " + key);
  if (!value.empty() && typeOf(plain).has(value))
    return breakAt(&op, "it is contracted with a value over " + value);

  // sum over the key dimension of the product of what depends on it, and the factors that do not.
  const auto contracted = [&](const Product& product) {
    Product result{product.negative, {}};
    Product summed;
    for (Value factor : factorsOf(product.factors))
      (typeOf(factor).has(key) ? summed : result).factors.push_back(factor);
    const bool hasKey = typeOf(plain).has(key) || !summed.factors.empty();
    const Value size = hasKey ? summed.magnitude(builder) : builder.dim(key);
    result.factors.insert(result.factors.begin(), hasKey
                                                      ? builder.contract(plain, size, key)
                                                      : builder.map(Op::multiply, {plain, size}));
    return result;
  };

  AffineForm result;
  for (const Product& decay : form.decays) {
    const llvm::SmallVector<Value> factors = factorsOf(decay.factors);
    for (Value factor : factors)
      if (!value.empty() && typeOf(factor).has(value))
        return breakAt(&op, "it is read after a decay over " + value);
    Product right{false, {factors.begin(), factors.end()}};
    right.factors.push_back(plain);
    result.reads.push_back({{decay.negative, {}}, right.magnitude(builder)});
  }
  for (const AffineForm::Read& read : form.reads)
    result.reads.push_back({contracted(read.left), read.right});
  for (const Product& product : form.plains)
    result.plains.push_back(contracted(product));
  return result;
}

}  // namespace lathe
