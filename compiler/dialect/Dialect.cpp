#include "compiler/dialect/Dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe {

/// (K, V) as an array of strings.
static ParseResult parseNames(OpAsmParser& parser, ArrayAttr& names) {
  llvm::SmallVector<Attribute> list;
  const auto parseName = [&]() -> ParseResult {
    StringRef name;
    if (failed(parser.parseKeyword(&name)))
      return failure();
    list.push_back(parser.getBuilder().getStringAttr(name));
    return success();
  };
  if (failed(parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, parseName)))
    return failure();
  names = parser.getBuilder().getArrayAttr(list);
  return success();
}

static void printNames(OpAsmPrinter& printer, Operation*, ArrayAttr names) {
  printer << "(";
  llvm::interleaveComma(names.getAsValueRange<StringAttr>(), printer.getStream());
  printer << ")";
}

Type ValueType::parse(AsmParser& parser) {
  llvm::SmallVector<StringAttr> dims;
  const auto parseName = [&]() -> ParseResult {
    StringRef name;
    if (failed(parser.parseKeyword(&name)))
      return failure();
    dims.push_back(StringAttr::get(parser.getContext(), name));
    return success();
  };
  const SMLoc at = parser.getCurrentLocation();
  if (failed(parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseName)))
    return {};
  return getChecked([&] { return parser.emitError(at); }, parser.getContext(), dims);
}

void ValueType::print(AsmPrinter& printer) const {
  printer << "<";
  llvm::interleaveComma(getDims(), printer, [&](StringAttr dim) { printer << dim.getValue(); });
  printer << ">";
}

LogicalResult ValueType::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                ArrayRef<StringAttr> dims) {
  for (auto it = dims.begin(); it != dims.end(); ++it)
    if (std::find(dims.begin(), it, *it) != it)
      return emitError() << "dimension " << it->getValue()
                         << " occurs twice; the dimensions of one value have distinct names";
  return success();
}

bool ValueType::has(StringRef dim) const {
  return llvm::any_of(getDims(), [&](StringAttr own) { return own.getValue() == dim; });
}

std::string ValueType::str() const {
  std::string text;
  for (StringAttr dim : getDims())
    text += (text.empty() ? "" : ", ") + dim.str();
  return "[" + text + "]";
}

ValueType VariantOp::valueType(ArrayRef<StringAttr> names) {
  llvm::SmallVector<StringAttr> ordered;
  const auto take = [&](StringRef dim) {
    for (StringAttr name : names)
      if (name.getValue() == dim && !llvm::is_contained(ordered, name))
        ordered.push_back(name);
  };
  take(tokenDim);
  take(sourceDim);
  for (StringAttr dim : getDims().getAsRange<StringAttr>())
    take(dim.getValue());
  return ValueType::get(getContext(), ordered);
}

DimRules VariantOp::dimRules() {
  DimRules rules;
  if (const auto derived = (*this)->getAttrOfType<ArrayAttr>(derivedAttr))
    for (const auto words : derived.getAsRange<ArrayAttr>()) {
      const auto word = [&](unsigned at) { return llvm::cast<StringAttr>(words[at]).str(); };
      rules.derived.push_back({word(0), word(1), word(2)});
    }
  for (RotateOp rotate : getBody().getOps<RotateOp>())
    if (!llvm::is_contained(rules.even, rotate.getDim()))
      rules.even.push_back(rotate.getDim().str());
  return rules;
}

StateOp VariantOp::findState(StringRef name) {
  for (StateOp state : getBody().getOps<StateOp>())
    if (state.getName() == name)
      return state;
  return {};
}

UpdateOp VariantOp::findUpdate(StringRef name) {
  for (UpdateOp update : getBody().getOps<UpdateOp>())
    if (update.getName() == name)
      return update;
  return {};
}

Operation* LatheDialect::materializeConstant(OpBuilder& builder, Attribute value, Type type,
                                             Location loc) {
  if (const auto number = llvm::dyn_cast<FloatAttr>(value))
    if (llvm::isa<ValueType>(type))
      return builder.create<LiteralOp>(loc, type, number);
  return arith::ConstantOp::materialize(builder, value, type, loc);
}

void LatheDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "compiler/dialect/LatheTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "compiler/dialect/LatheOps.cpp.inc"
      >();
}

}  // namespace lathe

#include "compiler/dialect/LatheDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "compiler/dialect/LatheTypes.cpp.inc"

#define GET_OP_CLASSES
#include "compiler/dialect/LatheOps.cpp.inc"
