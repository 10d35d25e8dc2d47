#ifndef LATHE_TYPES
#define LATHE_TYPES

include "compiler/dialect/LatheDialect.td"
include "mlir/IR/AttrTypeBase.td"

def Lathe_Value : TypeDef<Lathe_Dialect, "Value"> {
  let mnemonic = "value";
  let summary = "A number for every index of its named dimensions, of one token and head";
  let description = [{
    `!lathe.value<K, V>` has dimensions K and V, `!lathe.value<>` is a scalar. The names stand in
    the order in which the variant declares them. In the chunk form `token` and `source` may come
    first: the token that reads, and an earlier token of the same chunk.
  }];
  let parameters = (ins ArrayRefParameter<"mlir::StringAttr">:$dims);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool has(llvm::StringRef dim) const;
    bool isScalar() const { return getDims().empty(); }
    /// "[K, V]", for error texts.
    std::string str() const;
  }];
}

#endif
