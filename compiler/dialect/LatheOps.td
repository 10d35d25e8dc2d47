#ifndef LATHE_OPS
#define LATHE_OPS

include "compiler/dialect/LatheTypes.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Lathe_Op<string mnemonic, list<Trait> traits = []> : Op<Lathe_Dialect, mnemonic, traits>;

/// An operation of the token program: only variants hold it.
class Lathe_TokenOp<string mnemonic, list<Trait> traits = []>
    : Lathe_Op<mnemonic, !listconcat([HasParent<"VariantOp">], traits)>;

/// A declaration: its result is printed under its own name, and it stays although nothing uses it,
/// since the caller passes it.
class Lathe_Declaration<string mnemonic, list<Trait> traits = []>
    : Lathe_TokenOp<mnemonic, !listconcat([
        DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>], traits)> {
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(mlir::OpAsmSetValueNameFn setName) {
      setName(getResult(), getName());
    }
  }];
}

//===- The variant and what it declares ----------------------------------------------------===//
// `stored` is the order of the dimensions in the memory of the call where it is not the variant's.

def Lathe_VariantOp : Lathe_Op<"variant", [
    IsolatedFromAbove, SingleBlock, NoTerminator, NoRegionArguments, Symbol]> {
  let summary = "What one variant computes for a token, or for a chunk of tokens, of one head";
  let description = [{
    The attribute `derived` says which dimensions have a size that follows from another's:

        lathe.variant @based (K, V, F) attributes {derived = [["F", "taylor2", "K"]]} { ... }
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$dims, UnitAttr:$chunked);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name custom<Names>($dims) (`chunked` $chunked^)? attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// The dimensions of a value with these names, in the order of the variant.
    ValueType valueType(llvm::ArrayRef<mlir::StringAttr> names);
    /// The `lathe.state` or `lathe.update` of this name; null where there is none.
    StateOp findState(llvm::StringRef name);
    UpdateOp findUpdate(llvm::StringRef name);
    /// What the sizes of the dimensions must keep.
    DimRules dimRules();
  }];
}

def Lathe_InputOp : Lathe_Declaration<"input"> {
  let summary = "A tensor of the call with a value for every batch, token and head";
  let description = "`in_log`: the value is the natural logarithm of a decay, at most 0.";
  let arguments = (ins StrAttr:$name, UnitAttr:$log, OptionalAttr<StrArrayAttr>:$stored);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$name (`in_log` $log^)? attr-dict `:` type($result)";
}

def Lathe_ParamOp : Lathe_Declaration<"param"> {
  let summary = "A tensor of the call with a value for every head";
  let arguments = (ins StrAttr:$name, UnitAttr:$log, OptionalAttr<StrArrayAttr>:$stored);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$name (`in_log` $log^)? attr-dict `:` type($result)";
}

def Lathe_ConstantOp : Lathe_Declaration<"constant", [SameOperandsAndResultType]> {
  let summary = "A number that the call may override; the operand is its default";
  let arguments = (ins StrAttr:$name, Lathe_Value:$initial);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$name `=` $initial attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lathe_StateOp : Lathe_Declaration<"state"> {
  let summary = "A state at the start of the token; in the chunk form, of the chunk";
  let description = [{
    `in_reverse`: it goes from the last token of the sequence to the first. `stabiliser`: the
    logarithm of what other states are divided by, so that nothing that is read depends on it.
  }];
  let arguments = (ins StrAttr:$name, UnitAttr:$reverse, UnitAttr:$stabiliser,
                       OptionalAttr<StrArrayAttr>:$stored);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $name (`in_reverse` $reverse^)? (`stabiliser` $stabiliser^)? attr-dict `:` type($result)
  }];
}

def Lathe_UpdateOp : Lathe_TokenOp<"update"> {
  let summary = "The value of a state at the end of the token; in the chunk form, of the chunk";
  let arguments = (ins StrAttr:$name, Lathe_Value:$value);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

def Lathe_OutputOp : Lathe_TokenOp<"output"> {
  let summary = "A result of the call for every batch, token and head";
  let arguments = (ins StrAttr:$name, Lathe_Value:$value, OptionalAttr<StrArrayAttr>:$stored);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

//===- Values ------------------------------------------------------------------------------===//

def Lathe_LiteralOp : Lathe_TokenOp<"literal", [Pure, ConstantLike]> {
  let summary = "A number";
  let arguments = (ins F64Attr:$value);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Lathe_DimOp : Lathe_TokenOp<"dim", [Pure]> {
  let summary = "The size of a dimension";
  let arguments = (ins StrAttr:$dim);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$dim attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lathe_PositionOp : Lathe_TokenOp<"position", [Pure]> {
  let summary = "The index of the token within its sequence, from 0";
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lathe_MapOp : Lathe_TokenOp<"map", [IsolatedFromAbove, Pure, SingleBlock]> {
  let summary = "A scalar function of its operands, element by element";
  let description = [{
    Operands broadcast over the dimensions that they lack; the result has the dimensions of all. A
    map of one scalar operation is written with its name alone:

        %0 = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
  }];
  let arguments = (ins Variadic<Lathe_Value>:$inputs);
  let results = (outs Lathe_Value:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let hasFolder = 1;
}

def Lathe_YieldOp : Lathe_Op<"yield", [HasParent<"MapOp">, Pure, Terminator]> {
  let summary = "The value of a map";
  let arguments = (ins F64:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Lathe_SumOp : Lathe_TokenOp<"sum", [Pure]> {
  let summary = "The sum over one dimension";
  let arguments = (ins Lathe_Value:$input, StrAttr:$dim);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$input `over` $dim attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lathe_MaxOp : Lathe_TokenOp<"max", [Pure]> {
  let summary = "The maximum over one dimension";
  let arguments = (ins Lathe_Value:$input, StrAttr:$dim);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$input `over` $dim attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lathe_ContractOp : Lathe_TokenOp<"contract", [Pure]> {
  let summary = "The product of two values, broadcast, summed over one dimension";
  let arguments = (ins Lathe_Value:$lhs, Lathe_Value:$rhs, StrAttr:$dim);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs `over` $dim attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lathe_BroadcastOp : Lathe_TokenOp<"broadcast", [Pure]> {
  let summary = "The same value for every index of the dimensions that the result has more";
  let arguments = (ins Lathe_Value:$input);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

//===- Features ----------------------------------------------------------------------------===//

def Lathe_IndexOp : Lathe_TokenOp<"index", [Pure]> {
  let summary = "The index along a dimension, from 0";
  let arguments = (ins StrAttr:$dim);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$dim attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lathe_RotateOp : Lathe_TokenOp<"rotate", [Pure]> {
  let summary = "The two halves along a dimension of even size n, exchanged: (x1, x2) to (-x2, x1)";
  let description = [{
    y_d = -x_{d + n/2} for d < n/2, else x_{d - n/2}. Its adjoint is its negation.
  }];
  let arguments = (ins Lathe_Value:$input, StrAttr:$dim);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = "$input `over` $dim attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lathe_TaylorOp : Lathe_TokenOp<"taylor", [Pure]> {
  let summary = "Second-order Taylor features: 1, x_i, then x_i x_j / sqrt(2) row by row";
  let description = [{
    The products of two such values, summed over `to`, are 1 + x.y + (x.y)^2 / 2. `to` has the size
    1 + n + n * n, n that of `over`.

        %1 = lathe.taylor %q over "K" to "F" : <K> -> <F>
  }];
  let arguments = (ins Lathe_Value:$input, StrAttr:$dim, StrAttr:$features);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $input `over` $dim `to` $features attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lathe_TaylorAdjointOp : Lathe_TokenOp<"taylor_adjoint", [Pure]> {
  let summary = "The gradient of x where d is that of its Taylor features";
  let description = [{
    dx_i = d_{1+i} + sum_j (d_ij + d_ji) x_j / sqrt(2), where d_ij is the element of d at the
    feature of x_i x_j.

        %1 = lathe.taylor_adjoint %q, %d over "K" to "F" : <K>, <F> -> <K>
  }];
  let arguments = (ins Lathe_Value:$input, Lathe_Value:$adjoint, StrAttr:$dim, StrAttr:$features);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $input `,` $adjoint `over` $dim `to` $features attr-dict
    `:` type($input) `,` type($adjoint) `->` type($result)
  }];
  let hasVerifier = 1;
}

//===- Normal form -------------------------------------------------------------------------===//

def Lathe_AffineOp : Lathe_TokenOp<"affine", [AttrSizedOperandSegments, Pure]> {
  let summary = "The update of a state in normal form";
  let description = [{
        S' = exp(sum of decays) * S + sum_r left_r (right_r @ S) + sum_s key_s * value_s

    `@` contracts the key dimension of the state, its first where `over` names no other. Log-decays
    are scalars or have one dimension of the state; lefts, rights and keys have at most the key
    dimension, values at most the other. The value of a state that has one dimension only (a
    normaliser) is a scalar.

        %1 = lathe.affine %S decay(%g) rank1(%a * %b) outer(%k * %v)
            : <K, V>, <>, <K>, <K>, <K>, <V> -> <K, V>
  }];
  let arguments = (ins Lathe_Value:$state, Variadic<Lathe_Value>:$decays,
                       Variadic<Lathe_Value>:$lefts, Variadic<Lathe_Value>:$rights,
                       Variadic<Lathe_Value>:$keys, Variadic<Lathe_Value>:$values,
                       OptionalAttr<StrAttr>:$over);
  let results = (outs Lathe_Value:$result);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The dimension that rank-1 terms contract; empty for a scalar state.
    llvm::StringRef keyDim();
    /// The other dimension of the state; empty where it has none.
    llvm::StringRef valueDim();
  }];
}

def Lathe_RunningMaxOp : Lathe_TokenOp<"running_max", [Pure]> {
  let summary = "The maximum of what was, decayed, and what is new: max(state + decay, input)";
  let description = [{
    The update of a stabiliser, a state that holds the logarithm of the largest term of another one
    (Beck et al. 2024, "xLSTM", eq. 15). In the chunk form the result has one value for every
    token, the operand `state` none; `exclusive` gives the value before the token. Whatever it
    stabilises does not depend on it, so that its gradient is zero.
  }];
  let arguments = (ins Lathe_Value:$state, Lathe_Value:$decay, Lathe_Value:$input,
                       UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $state `decay` `(` $decay `)` `with` $input (`exclusive` $exclusive^)? (`reverse` $reverse^)?
    attr-dict `:` type($state) `,` type($decay) `,` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

//===- Chunk form --------------------------------------------------------------------------===//
// G_i is the sum of the log-decays g_s of tokens s <= i of the chunk. `strict` stands for what is
// read before the update of a token: it sees G_{i-1} and tokens j < i. `reverse` is the mirror
// image, of a state that goes from the last token to the first: tokens j >= i, and G_i the sum over
// s >= i. No exponent is formed but sums of log-decays between two tokens, at most 0 where decays
// are at most 1. A log-decay is a scalar or has the dimension that its operation names.

def Lathe_CumulateOp : Lathe_TokenOp<"cumulate", [Pure]> {
  let summary = "The running sum over the tokens of the chunk";
  let description = [{
    Of tokens s <= i; `exclusive`: of s < i; `reverse`: of s >= i; both: of s > i. The four are
    separate sums, never differences of one, so that a strong gate takes no digits from its
    neighbours.
  }];
  let arguments = (ins Lathe_Value:$input, UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $input (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict
    `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lathe_ScoresOp : Lathe_TokenOp<"scores", [Pure]> {
  let summary = "How much of what token j wrote token i reads";
  let description = [{
    A_ij = sum_d x_id y_jd exp(G_id - G_jd) for j <= i, else 0. `over` "" multiplies two numbers of
    each pair of tokens.
  }];
  let arguments = (ins Lathe_Value:$x, Lathe_Value:$y, Optional<Lathe_Value>:$decay,
                       StrAttr:$dim, UnitAttr:$strict, UnitAttr:$reverse);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $x `,` $y (`decay` `(` $decay^ `:` type($decay) `)`)? `over` $dim (`strict` $strict^)?
    (`reverse` $reverse^)? attr-dict `:` type($x) `,` type($y) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lathe_ApplyOp : Lathe_TokenOp<"apply", [Pure]> {
  let summary = "Scores times values: the sum over source tokens j of A_ij v_j";
  let description = [{
    o_id = sum_{j<=i} A_ij v_jd exp(G_id - G_jd), with j < i where it is `strict`. `transposed`
    sums over the tokens that read: o_jd = sum_{i>=j} A_ij v_id exp(G_id - G_jd).
  }];
  let arguments = (ins Lathe_Value:$scores, Lathe_Value:$values, Optional<Lathe_Value>:$decay,
                       UnitAttr:$strict, UnitAttr:$reverse, UnitAttr:$transposed);
  let results = (outs Lathe_Value:$result);
  let assemblyFormat = [{
    $scores `,` $values (`decay` `(` $decay^ `:` type($decay) `)`)? (`strict` $strict^)?
    (`reverse` $reverse^)? (`transposed` $transposed^)? attr-dict
    `:` type($scores) `,` type($values) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lathe_SolveOp : Lathe_TokenOp<"solve", [AttrSizedOperandSegments, Pure]> {
  let summary = "W^r_i = R^r_i + sum_s sum_{j<i} L^rs_ij W^s_j, by forward substitution";
  let description = [{
    `blocks` holds the strict scores L^rs row by row. With log-decays over the values' dimension
    each W^s_jd counts exp(G_{i-1,d} - G_jd) times. `transposed` solves the adjoint system, from the
    tokens that read: W^s_j = R^s_j + sum_r sum_{i>j} L^rs_ij exp(G_{i-1} - G_j) W^r_i.
  }];
  let arguments = (ins Variadic<Lathe_Value>:$rights, Variadic<Lathe_Value>:$blocks,
                       Optional<Lathe_Value>:$decay, UnitAttr:$reverse, UnitAttr:$transposed);
  let results = (outs Variadic<Lathe_Value>:$results);
  let assemblyFormat = [{
    $rights `blocks` `(` $blocks `)` (`decay` `(` $decay^ `)`)? (`reverse` $reverse^)?
    (`transposed` $transposed^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===- Scalar functions that arith and math lack -------------------------------------------===//

class Lathe_ScalarOp<string mnemonic, string formula>
    : Lathe_Op<mnemonic, [Pure, SameOperandsAndResultType]> {
  let summary = formula;
  let arguments = (ins F64:$x);
  let results = (outs F64:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Lathe_SigmoidOp : Lathe_ScalarOp<"sigmoid", "1 / (1 + exp(-x))">;
def Lathe_LogSigmoidOp : Lathe_ScalarOp<"logsigmoid", "log(sigmoid(x)), without overflow">;
def Lathe_SoftplusOp : Lathe_ScalarOp<"softplus", "log(1 + exp(x)), without overflow">;
def Lathe_ReluOp : Lathe_ScalarOp<"relu", "max(x, 0)">;
def Lathe_SiluOp : Lathe_ScalarOp<"silu", "x sigmoid(x)">;
def Lathe_EluOp : Lathe_ScalarOp<"elu", "x where x > 0, else exp(x) - 1">;
def Lathe_StepOp : Lathe_ScalarOp<"step", "1 where x > 0, else 0">;

#endif
