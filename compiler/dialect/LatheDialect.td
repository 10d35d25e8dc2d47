// The lathe dialect: linear-attention recurrences over named dimensions.
#ifndef LATHE_DIALECT
#define LATHE_DIALECT

include "mlir/IR/OpBase.td"

def Lathe_Dialect : Dialect {
  let name = "lathe";
  let cppNamespace = "::lathe";
  let summary = "Recurrences of linear attention over named dimensions";
  let description = [{
    A `lathe.variant` says what happens to one token of one head: values over named dimensions
    (`!lathe.value<K, V>`) are combined by maps, sums and contractions; a state is read at the start
    of the token and updated at its end. Everything is a pure SSA value, so that a state in the
    middle of a token is only one more value.

    Three forms of a variant use the same operations. The *token form* is the spec as written. In
    the *normal form* every state is updated by one `lathe.affine`. In the *chunk form* (`chunked`)
    values have a leading dimension `token`, all tokens of a chunk are computed at once, and a state
    is read at the start of the chunk.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect"];
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 1;
}

#endif
