// The text of maps and of affine updates, which are more readable than what declarative formats can
// say.
#include "compiler/dialect/Build.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lathe {

/// <K>, <V> -> <K, V>: types of this dialect without their name.
static ParseResult parseTypes(OpAsmParser& parser, llvm::SmallVectorImpl<Type>& inputs,
                              Type& result) {
  const auto parseOne = [&](Type& type) -> ParseResult {
    ValueType value;
    if (parser.parseCustomTypeWithFallback(value))
      return failure();
    type = value;
    return success();
  };
  if (parser.parseColon())
    return failure();
  if (failed(parser.parseOptionalArrow())) {
    if (parser.parseCommaSeparatedList([&] { return parseOne(inputs.emplace_back()); }) ||
        parser.parseArrow())
      return failure();
  }
  return parseOne(result);
}

static void printTypes(OpAsmPrinter& printer, Operation* op) {
  const auto printOne = [&](Type type) {
    printer.printStrippedAttrOrType(llvm::cast<ValueType>(type));
  };
  printer << " : ";
  llvm::interleaveComma(op->getOperandTypes(), printer, printOne);
  printer << (op->getNumOperands() ? " -> " : "-> ");
  printOne(op->getResult(0).getType());
}

/// `arith.mulf(%a, %b) : <K>, <V> -> <K, V>` or `(%a, %b) : <K>, <V> -> <K, V> { region }`.
ParseResult MapOp::parse(OpAsmParser& parser, OperationState& result) {
  StringRef scalar;
  const SMLoc at = parser.getCurrentLocation();
  const bool isShort = succeeded(parser.parseOptionalKeyword(&scalar));
  llvm::SmallVector<OpAsmParser::UnresolvedOperand> operands;
  llvm::SmallVector<Type> inputs;
  Type type;
  if (parser.parseOperandList(operands, OpAsmParser::Delimiter::Paren) ||
      parser.parseOptionalAttrDict(result.attributes) || parseTypes(parser, inputs, type) ||
      parser.resolveOperands(operands, inputs, at, result.operands))
    return failure();
  result.addTypes(type);
  Region* body = result.addRegion();
  if (!isShort)
    return parser.parseRegion(*body);

  const std::optional<RegisteredOperationName> name =
      RegisteredOperationName::lookup(scalar, parser.getContext());
  if (!name)
    return parser.emitError(at) << "a map applies a scalar operation; there is none called "
                                << scalar;
  OpBuilder builder(parser.getContext());
  Block* block = builder.createBlock(body);
  for (size_t i = 0; i < operands.size(); ++i)
    block->addArgument(builder.getF64Type(), result.location);
  OperationState state(result.location, *name);
  state.addOperands(block->getArguments());
  state.addTypes(builder.getF64Type());
  builder.create<YieldOp>(result.location, builder.create(state)->getResult(0));
  return success();
}

void MapOp::print(OpAsmPrinter& printer) {
  const bool isShort = scalarOpOf(*this).has_value();
  if (isShort)
    printer << " " << getBody().front().front().getName();
  printer << "(";
  printer.printOperands(getInputs());
  printer << ")";
  printer.printOptionalAttrDict((*this)->getAttrs());
  printTypes(printer, *this);
  if (!isShort) {
    printer << " ";
    printer.printRegion(getBody());
  }
}

using Operands = llvm::SmallVector<OpAsmParser::UnresolvedOperand>;

/// (%a * %b, %c * %d)
static ParseResult parsePairs(OpAsmParser& parser, Operands& firsts, Operands& seconds) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&] {
    return failure(parser.parseOperand(firsts.emplace_back()) || parser.parseStar() ||
                   parser.parseOperand(seconds.emplace_back()));
  });
}

static void printPairs(OpAsmPrinter& printer, StringRef name, OperandRange firsts,
                       OperandRange seconds) {
  if (firsts.empty())
    return;
  printer << " " << name << "(";
  llvm::interleaveComma(llvm::zip(firsts, seconds), printer, [&](const auto& pair) {
    printer << std::get<0>(pair) << " * " << std::get<1>(pair);
  });
  printer << ")";
}

ParseResult AffineOp::parse(OpAsmParser& parser, OperationState& result) {
  Operands state(1), decays, lefts, rights, keys, values;
  llvm::SmallVector<Type> inputs;
  Type type;
  const SMLoc at = parser.getCurrentLocation();
  if (parser.parseOperand(state[0]))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("over"))) {
    std::string over;
    if (parser.parseString(&over))
      return failure();
    result.getOrAddProperties<Properties>().over = parser.getBuilder().getStringAttr(over);
  }
  if (succeeded(parser.parseOptionalKeyword("decay")) &&
      parser.parseOperandList(decays, OpAsmParser::Delimiter::Paren))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("rank1")) && parsePairs(parser, lefts, rights))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("outer")) && parsePairs(parser, keys, values))
    return failure();
  if (parser.parseOptionalAttrDict(result.attributes) || parseTypes(parser, inputs, type))
    return failure();

  Operands all;
  llvm::SmallVector<int32_t> segments;
  for (const Operands* segment : {&state, &decays, &lefts, &rights, &keys, &values}) {
    all.append(*segment);
    segments.push_back(static_cast<int32_t>(segment->size()));
  }
  llvm::copy(segments, result.getOrAddProperties<Properties>().operandSegmentSizes.begin());
  result.addTypes(type);
  return parser.resolveOperands(all, inputs, at, result.operands);
}

void AffineOp::print(OpAsmPrinter& printer) {
  printer << " " << getState();
  if (getOverAttr())
    printer << " over " << getOverAttr();
  if (!getDecays().empty())
    printer << " decay(" << getDecays() << ")";
  printPairs(printer, "rank1", getLefts(), getRights());
  printPairs(printer, "outer", getKeys(), getValues());
  printer.printOptionalAttrDict((*this)->getAttrs(),
                                {getOperandSegmentSizeAttr(), getOverAttrName()});
  printTypes(printer, *this);
}

}  // namespace lathe
