#include "compiler/dialect/Lower.h"

#include "compiler/dialect/Build.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace lathe {

namespace {

using Kind = spec::Statement::Kind;

/// Keeps the squares of a norm away from zero, as the kernels of flash-linear-attention do (l2norm,
/// rmsnorm).
constexpr double normEpsilon = 1e-6;

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
      const Value value = values[statement.name];
      builder.setLoc(updates.lookup(statement.name).value_or(locationOf(statement.span)));
      builder.create<UpdateOp>(builder.loc(), statement.name, value);
    }
  }

private:
  VariantOp createVariant(OpBuilder& module) {
    llvm::SmallVector<StringRef> dims(spec.dims.begin(), spec.dims.end());
    auto op = module.create<VariantOp>(locationOf(spec.span), module.getStringAttr(spec.name),
                                       module.getStrArrayAttr(dims), UnitAttr());
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
      values[name] = builder.create<InputOp>(loc, type, builder.getStringAttr(name), log, stored);
      return;
    case Kind::param:
      values[name] = builder.create<ParamOp>(loc, type, builder.getStringAttr(name), log, stored);
      return;
    case Kind::state:
      values[name] =
          builder.create<StateOp>(loc, type, builder.getStringAttr(name), UnitAttr(), stored);
      return;
    case Kind::constant: {
      const Value initial = lower(*statement.value);
      values[name] = builder.create<ConstantOp>(loc, type, builder.getStringAttr(name), initial);
      return;
    }
    case Kind::let:
      values[name] = lower(*statement.value);
      return;
    case Kind::update: {
      const Value value = lower(*statement.value);
      builder.setLoc(loc);
      values[name] = builder.broadcast(value, lathe::typeOf(values[name]));
      updates[name] = loc;
      return;
    }
    case Kind::output: {
      const Value value = lower(*statement.value);
      builder.setLoc(loc);
      builder.create<OutputOp>(loc, builder.getStringAttr(name), builder.broadcast(value, type),
                               stored);
      return;
    }
    }
  }

  Value lower(const spec::Expr& expr) {
    if (expr.kind == spec::Expr::Kind::name) {
      if (const auto found = values.find(expr.name); found != values.end())
        return found->second;
      builder.setLoc(locationOf(expr.span));
      if (expr.name == "position")
        return builder.create<PositionOp>(builder.loc(), typeOf({}));
      return builder.dim(expr.name);
    }
    llvm::SmallVector<Value> args;
    for (const auto& arg : expr.args)
      args.push_back(lower(*arg));
    builder.setLoc(locationOf(expr.span));
    switch (expr.kind) {
    case spec::Expr::Kind::number:
      return builder.literal(expr.number);
    case spec::Expr::Kind::negate:
      return builder.map(Op::negate, args);
    case spec::Expr::Kind::binary:
      return binary(expr, args);
    default:
      return call(expr, args);
    }
  }

  Value binary(const spec::Expr& expr, ArrayRef<Value> args) {
    switch (expr.op) {
    case spec::BinaryOp::add:
      return builder.map(Op::add, args);
    case spec::BinaryOp::subtract:
      return builder.map(Op::subtract, args);
    case spec::BinaryOp::multiply:
      return builder.map(Op::multiply, args);
    case spec::BinaryOp::divide:
      return builder.map(Op::divide, args);
    case spec::BinaryOp::contract:
      return builder.contract(args[0], args[1], expr.contracted);
    }
    llvm_unreachable("every binary operator is in the switch");
  }

  Value call(const spec::Expr& expr, ArrayRef<Value> args) {
    const StringRef name = expr.name;
    if (name == "clamp")
      return builder.map(Op::minimum, {builder.map(Op::maximum, {args[0], args[1]}), args[2]});
    const StringRef dim = expr.args[0]->dims.empty() ? "" : StringRef(expr.args[0]->dims[0]);
    if (name == "sum")
      return builder.sum(args[0], dim);
    if (name == "l2norm" || name == "rmsnorm") {
      Value square = builder.sum(builder.map(Op::multiply, {args[0], args[0]}), dim);
      if (name == "rmsnorm")
        square = builder.map(Op::divide, {square, builder.dim(dim)});
      const Value padded = builder.map(Op::add, {square, builder.literal(normEpsilon)});
      return builder.map(Op::multiply, {args[0], builder.map(Op::rsqrt, padded)});
    }
    if (name == "softmax") {
      const Value shifted = builder.map(Op::subtract, {args[0], builder.max(args[0], dim)});
      const Value weights = builder.map(Op::exp, shifted);
      return builder.map(Op::divide, {weights, builder.sum(weights, dim)});
    }
    const std::optional<Op> op = llvm::StringSwitch<std::optional<Op>>(name)
                                     .Case("exp", Op::exp)
                                     .Case("log", Op::log)
                                     .Case("sigmoid", Op::sigmoid)
                                     .Case("logsigmoid", Op::logsigmoid)
                                     .Case("softplus", Op::softplus)
                                     .Case("tanh", Op::tanh)
                                     .Case("relu", Op::relu)
                                     .Case("silu", Op::silu)
                                     .Case("elu", Op::elu)
                                     .Case("abs", Op::abs)
                                     .Case("sqrt", Op::sqrt)
                                     .Case("rsqrt", Op::rsqrt)
                                     .Case("min", Op::minimum)
                                     .Case("max", Op::maximum)
                                     .Default(std::nullopt);
    if (!op)
      llvm::report_fatal_error("the checker accepted a function that lowering does not know: " +
                               name);
    return builder.map(*op, args);
  }

  const spec::Variant& spec;
  StringAttr fileName;
  VariantOp variant;
  TokenBuilder builder;
  llvm::StringMap<Value> values;  ///< What each name means at this point of the token.
  llvm::StringMap<std::optional<Location>> updates;
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
