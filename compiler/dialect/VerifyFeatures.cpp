// The rules of derived dimensions, and of the operations that go along one dimension.
#include "compiler/dialect/Rules.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace lathe {

LogicalResult verifyDerived(VariantOp variant) {
  const Attribute attribute = variant->getAttr(derivedAttr);
  if (!attribute)
    return success();
  const auto list = llvm::dyn_cast<ArrayAttr>(attribute);
  if (!list)
    return variant.emitOpError() << "has the attribute derived = " << attribute
                                 << "; it is a list of [\"F\", \"taylor2\", \"K\"]";
  const auto dims = variant.getDims().getAsValueRange<StringAttr>();
  llvm::StringSet<> derived;
  for (Attribute one : list) {
    const auto words = llvm::dyn_cast<ArrayAttr>(one);
    if (!words || words.size() != 3 ||
        !llvm::all_of(words, [](Attribute word) { return llvm::isa<StringAttr>(word); }))
      return variant.emitOpError()
             << "has the derived dimension " << one << "; write [\"F\", \"taylor2\", \"K\"]";
    const auto word = [&](unsigned at) { return llvm::cast<StringAttr>(words[at]).getValue(); };
    for (StringRef dim : {word(0), word(2)})
      if (!llvm::is_contained(dims, dim))
        return variant.emitOpError() << "derives " << word(0) << " from " << word(2) << ", but "
                                     << dim << " is no dimension of the variant";
    if (word(1) != "taylor2")
      return variant.emitOpError() << "derives " << word(0) << " by " << word(1)
                                   << "; the functions that derive a dimension are: taylor2";
    if (!derived.insert(word(0)).second)
      return variant.emitOpError() << "derives " << word(0) << " twice";
  }
  for (const DerivedDim& one : variant.dimRules().derived)
    if (derived.contains(one.from))
      return variant.emitOpError() << "derives " << one.dim << " from " << one.from
                                   << ", which is a derived dimension itself";
  return success();
}

LogicalResult IndexOp::verify() {
  if (!llvm::is_contained(
          llvm::cast<VariantOp>((*this)->getParentOp()).getDims().getAsValueRange<StringAttr>(),
          getDim()))
    return emitOpError() << "goes along " << getDim() << ", which is no dimension of the variant";
  return requireType(*this, getResult(), united(*this, {}, "", getDim()),
                     "an index has the dimension that it goes along");
}

LogicalResult RotateOp::verify() {
  if (!typeOf(getInput()).has(getDim()))
    return emitOpError() << "goes over " << getDim() << ", which " << typeOf(getInput()).str()
                         << " does not have";
  return requireType(*this, getResult(), typeOf(getInput()), "it has those of its operand");
}

LogicalResult TaylorOp::verify() {
  if (!typeOf(getInput()).has(getDim()))
    return emitOpError() << "goes over " << getDim() << ", which " << typeOf(getInput()).str()
                         << " does not have";
  return requireType(*this, getResult(), united(*this, getInput(), getDim(), getFeatures()),
                     "Taylor features have the dimension of the features in place of that of x");
}

LogicalResult TaylorAdjointOp::verify() {
  for (auto [value, dim] :
       {std::pair(getInput(), getDim()), std::pair(getAdjoint(), getFeatures())})
    if (!typeOf(value).has(dim))
      return emitOpError() << "goes over " << dim << ", which " << typeOf(value).str()
                           << " does not have";
  return requireType(*this, getResult(),
                     united(*this, {getInput(), getAdjoint()}, getFeatures(), getDim()),
                     "the gradient has the dimensions of both operands but that of the features");
}

}  // namespace lathe
