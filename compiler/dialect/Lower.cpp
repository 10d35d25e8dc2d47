#include "compiler/dialect/Lower.h"

#include "compiler/dialect/Features.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace lathe {

namespace {

using Kind = spec::Statement::Kind;

/// A value of the token program. In `direction both`, what is read from the states stays in two
/// parts as long as they only scale: that of the forward states, and that of the reverse ones, null
/// for none. Their sum is the value.
struct Parts {
  Value forward;
  Value reverse = nullptr;
};

/// A state as it stands at a line of the spec.
struct StateValues {
  Value forward;
  Value reverse;  ///< In `direction both`: the state that goes the other way; else null.
  /// `reverse` without what the updates of this token added to it: this token is in `forward`
  /// already. Null where nothing is left.
  Value rest;
};

class VariantLowering {
public:
  VariantLowering(const spec::Variant& variant, StringRef fileName, OpBuilder& module)
      : spec(variant), fileName(StringAttr::get(module.getContext(), fileName)),
        variant(createVariant(module)),
        builder(this->variant, OpBuilder::atBlockEnd(&this->variant.getBody().front())) {}

  void run() {
    for (const spec::Statement& statement : spec.statements) {
      builder.setLoc(locationOf(statement.span));
      lower(statement);
    }
    for (const spec::Statement& statement : spec.statements) {
      if (statement.kind != Kind::state)
        continue;
      const StateValues& state = states[statement.name];
      builder.setLoc(updates.lookup(statement.name).value_or(locationOf(statement.span)));
      builder.create<UpdateOp>(builder.loc(), statement.name, state.forward);
      if (spec.both)
        builder.create<UpdateOp>(builder.loc(), spec::reverseName(statement.name), state.reverse);
    }
  }

private:
  VariantOp createVariant(OpBuilder& module) {
    llvm::SmallVector<StringRef> dims(spec.dims.begin(), spec.dims.end());
    auto op = module.create<VariantOp>(locationOf(spec.span), module.getStringAttr(spec.name),
                                       module.getStrArrayAttr(dims), UnitAttr());
    llvm::SmallVector<Attribute> derived;
    for (const spec::Derivation& one : spec.derived)
      derived.push_back(module.getStrArrayAttr({one.dim, one.function, one.from}));
    if (!derived.empty())
      op->setAttr(derivedAttr, module.getArrayAttr(derived));
    op.getBody().emplaceBlock();
    return op;
  }

  Location locationOf(const Span& span) const {
    return FileLineColLoc::get(fileName, static_cast<unsigned>(span.line),
                               static_cast<unsigned>(span.column));
  }

  ValueType typeOf(const spec::Dims& dims) {
    llvm::SmallVector<StringAttr> names;
    for (const std::string& dim : dims)
      names.push_back(builder.getStringAttr(dim));
    return variant.valueType(names);
  }

  /// The order in the memory of the call, where it is not the variant's; null else.
  ArrayAttr storedOrder(const spec::Dims& dims) {
    llvm::SmallVector<StringRef> names(dims.begin(), dims.end());
    const ArrayAttr declared = builder.getStrArrayAttr(names);
    const ArrayRef<StringAttr> ordered = typeOf(dims).getDims();
    return llvm::equal(declared.getAsRange<StringAttr>(), ordered) ? ArrayAttr() : declared;
  }

  void lower(const spec::Statement& statement) {
    const Location loc = builder.loc();
    const StringRef name = statement.name;
    const ValueType type = typeOf(statement.dims);
    const ArrayAttr stored = storedOrder(statement.dims);
    const UnitAttr log = statement.log ? builder.getUnitAttr() : UnitAttr();
    switch (statement.kind) {
    case Kind::input:
      values[name] = {builder.create<InputOp>(loc, type, builder.getStringAttr(name), log, stored)};
      return;
    case Kind::param:
      values[name] = {builder.create<ParamOp>(loc, type, builder.getStringAttr(name), log, stored)};
      return;
    case Kind::state:
      return declareState(statement, type, stored);
    case Kind::constant: {
      const Value initial = joined(lower(*statement.value));
      values[name] = {builder.create<ConstantOp>(loc, type, builder.getStringAttr(name), initial)};
      return;
    }
    case Kind::let:
      values[name] = lower(*statement.value);
      nameLocation(values[name], name);
      return;
    case Kind::update:
      updates[name] = loc;
      return update(*statement.value, states[name], loc);
    case Kind::output: {
      const Value value = joined(lower(*statement.value));
      builder.setLoc(loc);
      builder.create<OutputOp>(loc, builder.getStringAttr(name), builder.broadcast(value, type),
                               stored);
      return;
    }
    }
  }

  /// The location of a value says which `let` it is, so that it can be shown by its name.
  static void nameLocation(const Parts& parts, StringRef name) {
    Operation* op = parts.forward.getDefiningOp();
    if (parts.reverse || op->getNumOperands() == 0 || llvm::isa<NameLoc>(op->getLoc()))
      return;
    op->setLoc(NameLoc::get(StringAttr::get(op->getContext(), name), op->getLoc()));
  }

  void declareState(const spec::Statement& statement, ValueType type, ArrayAttr stored) {
    const auto create = [&](const std::string& name, bool reverse) -> Value {
      return builder.create<StateOp>(builder.loc(), type, builder.getStringAttr(name),
                                     reverse ? builder.getUnitAttr() : UnitAttr(), UnitAttr(),
                                     stored);
    };
    StateValues& state = states[statement.name];
    state.forward = create(statement.name, statement.reverse);
    if (spec.both)
      state.reverse = state.rest = create(spec::reverseName(statement.name), true);
  }

  /// An update is linear in the states, so that its part in the reverse ones is what is left of
  /// them.
  void update(const spec::Expr& expr, StateValues& state, Location loc) {
    const ValueType type = lathe::typeOf(state.forward);
    const auto whole = [&](Value value) { return value ? builder.broadcast(value, type) : value; };
    isUpdate = true;
    const Parts parts = lower(expr);
    isReverse = true;
    const Value reverse = spec.both ? lower(expr).forward : Value();
    isReverse = isUpdate = false;
    builder.setLoc(loc);
    state = {whole(parts.forward), whole(reverse), whole(parts.reverse)};
  }

  Parts lower(const spec::Expr& expr) {
    if (expr.kind == spec::Expr::Kind::name)
      return lowerName(expr);
    llvm::SmallVector<Parts> args;
    for (const auto& arg : expr.args)
      args.push_back(lower(*arg));
    builder.setLoc(locationOf(expr.span));
    switch (expr.kind) {
    case spec::Expr::Kind::number:
      return {builder.literal(expr.number)};
    case spec::Expr::Kind::negate:
      return apply(args[0], [&](Value part) { return builder.map(Op::negate, part); });
    case spec::Expr::Kind::binary:
      return binary(expr, args);
    default:
      return call(expr, args);
    }
  }

  Parts lowerName(const spec::Expr& expr) {
    if (const auto found = states.find(expr.name); found != states.end()) {
      const StateValues& state = found->second;
      return isReverse ? Parts{state.reverse} : Parts{state.forward, state.rest};
    }
    if (const auto found = values.find(expr.name); found != values.end())
      return found->second;
    builder.setLoc(locationOf(expr.span));
    return {expr.name == "position" ? builder.position() : builder.dim(expr.name)};
  }

  Parts binary(const spec::Expr& expr, ArrayRef<Parts> args) {
    switch (expr.op) {
    case spec::BinaryOp::add:
      return add(args[0], args[1], Op::add);
    case spec::BinaryOp::subtract:
      return add(args[0], args[1], Op::subtract);
    case spec::BinaryOp::multiply:
      return scale(args[0], args[1],
                   [&](Value a, Value b) { return builder.map(Op::multiply, {a, b}); });
    case spec::BinaryOp::divide: {
      const Value divisor = joined(args[1]);
      return apply(args[0], [&](Value part) { return builder.map(Op::divide, {part, divisor}); });
    }
    case spec::BinaryOp::contract:
      return reduced(expr, scale(args[0], args[1], [&](Value a, Value b) {
                       return builder.contract(a, b, expr.contracted);
                     }));
    }
    llvm_unreachable("every binary operator is in the switch");
  }

  Parts add(const Parts& a, const Parts& b, Op op) {
    Parts sum{builder.map(op, {a.forward, b.forward}), a.reverse};
    if (b.reverse && a.reverse)
      sum.reverse = builder.map(op, {a.reverse, b.reverse});
    else if (b.reverse)
      sum.reverse = op == Op::subtract ? builder.map(Op::negate, b.reverse) : b.reverse;
    return sum;
  }

  /// A product, of which one side may be in parts.
  template <typename Multiply> Parts scale(const Parts& a, const Parts& b, Multiply multiply) {
    if (a.reverse && b.reverse)
      return {multiply(joined(a), joined(b))};
    if (b.reverse)
      return apply(b, [&](Value part) { return multiply(a.forward, part); });
    return apply(a, [&](Value part) { return multiply(part, b.forward); });
  }

  template <typename Function> Parts apply(const Parts& parts, Function function) {
    return {function(parts.forward), parts.reverse ? function(parts.reverse) : Value()};
  }

  Value joined(const Parts& parts) {
    return parts.reverse ? builder.map(Op::add, {parts.forward, parts.reverse}) : parts.forward;
  }

  /// What is read from the states is one value; matrices stay in their parts.
  Parts reduced(const spec::Expr& expr, const Parts& parts) {
    return expr.dims.size() > 1 || isUpdate ? parts : Parts{joined(parts)};
  }

  Parts call(const spec::Expr& expr, ArrayRef<Parts> args) {
    const spec::Dims& dims = expr.args[0]->dims;
    const StringRef dim = dims.empty() ? "" : StringRef(dims[0]);
    if (expr.name == "sum")
      return reduced(expr, apply(args[0], [&](Value part) {
                       return builder.sum(builder.broadcast(part, typeOf(dims)), dim);
                     }));
    llvm::SmallVector<Value> whole;
    for (const Parts& arg : args)
      whole.push_back(joined(arg));
    return {buildCall(builder, expr.name, whole, dim,
                      expr.dims.empty() ? "" : StringRef(expr.dims[0]))};
  }

  const spec::Variant& spec;
  StringAttr fileName;
  VariantOp variant;
  TokenBuilder builder;
  llvm::StringMap<Parts> values;  ///< What each name means at this point of the token.
  llvm::StringMap<StateValues> states;
  llvm::StringMap<std::optional<Location>> updates;
  bool isUpdate = false;   ///< The expression at hand is that of an update ...
  bool isReverse = false;  ///< ... of reverse states.
};

}  // namespace

OwningOpRef<ModuleOp> lower(const spec::Spec& spec, StringRef fileName, MLIRContext& context) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(FileLineColLoc::get(&context, fileName, 1, 1));
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  for (const spec::Variant& variant : spec.variants)
    VariantLowering(variant, fileName, builder).run();
  return module;
}

}  // namespace lathe
