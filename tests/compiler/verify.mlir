// One error for each rule of the dialect.
// RUN: %lathe_opt --split-input-file --verify-diagnostics %s

// expected-error @+1 {{dimension K occurs twice; the dimensions of one value have distinct names}}
lathe.variant @v (K) { %0 = lathe.input "x" : <K, K> }

// -----
// expected-error @+1 {{'lathe.variant' op declares the dimension token, a name that the chunk form keeps for itself}}
lathe.variant @v (token) { %0 = lathe.input "x" : <> }

// -----
// expected-error @+1 {{'lathe.variant' op declares the dimension K twice}}
lathe.variant @v (K, K) { %0 = lathe.input "x" : <K> }

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.input' op has the dimension V, which the variant does not declare}}
  %0 = lathe.input "x" : <V>
}

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.input' op has the dimension token, which the variant does not declare}}
  %0 = lathe.input "x" : <token, K>
}

// -----
lathe.variant @v (K, V) {
  // expected-error @+1 {{'lathe.input' op has dimensions [V, K]; they stand in the order of the variant: [K, V]}}
  %0 = lathe.input "x" : <V, K>
}

// -----
lathe.variant @v (K, V) {
  // expected-error @+1 {{'lathe.input' op is stored in an order that is no order of [K, V]}}
  %0 = lathe.input "x" {stored = ["V"]} : <K, V>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.param' op declares "x" a second time}}
  %1 = lathe.param "x" : <>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  lathe.output "o", %0 : <K>
  // expected-error @+1 {{'lathe.output' op writes "o" a second time}}
  lathe.output "o", %0 : <K>
}

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.state' op "S" has no lathe.update; a state has exactly one}}
  %S = lathe.state "S" : <K>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.update' op updates "S", which is no state of the variant}}
  lathe.update "S", %0 : <K>
}

// -----
lathe.variant @v (K) {
  %S = lathe.state "S" : <K>
  lathe.update "S", %S : <K>
  // expected-error @+1 {{'lathe.update' op updates the state "S" a second time; a state has exactly one update}}
  lathe.update "S", %S : <K>
}

// -----
lathe.variant @v (K) {
  %S = lathe.state "S" : <K>
  %0 = lathe.input "x" : <>
  // expected-error @+1 {{'lathe.update' op gives the state "S" dimensions []; it was declared with [K]}}
  lathe.update "S", %0 : <>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.constant' op has dimensions [K]; it is a scalar}}
  %1 = lathe.constant "c" = %0 : <K>
}

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.literal' op has dimensions [K]; it is a scalar}}
  %0 = lathe.literal 1.0 : <K>
}

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.dim' op asks for the size of V, which is no dimension of the variant}}
  %0 = lathe.dim "V" : <>
}

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.position' op has dimensions [K]; it is a scalar, or one number a token}}
  %0 = lathe.position : <K>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  %1 = lathe.input "y" : <V>
  // expected-error @+1 {{'lathe.map' op has dimensions [K]; a map has the dimensions of all of its operands: [K, V]}}
  %2 = lathe.map arith.addf(%0, %1) : <K>, <V> -> <K>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{a map applies a scalar operation; there is none called arith.gone}}
  %1 = lathe.map arith.gone(%0) : <K> -> <K>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'math.tan' op is no scalar operation of a map}}
  %1 = lathe.map math.tan(%0) : <K> -> <K>
}

// -----
lathe.variant @v (K) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.map' op has a body of 1 arguments; it takes one f64 for each of its 2 operands}}
  %1 = lathe.map(%0, %0) : <K>, <K> -> <K> {
  ^bb0(%x: f64):
    lathe.yield %x : f64
  }
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.sum' op goes over V, which [K] does not have}}
  %1 = lathe.sum %0 over "V" : <K> -> <K>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K, V>
  // expected-error @+1 {{'lathe.max' op has dimensions [K]; the result has every dimension of the operand but that one: [V]}}
  %1 = lathe.max %0 over "K" : <K, V> -> <K>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.contract' op goes over V, which neither [K] nor [K] has}}
  %1 = lathe.contract %0, %0 over "V" : <K>, <K> -> <K>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.contract' op has dimensions [K]; a contraction has the dimensions of both operands but the contracted one: []}}
  %1 = lathe.contract %0, %0 over "K" : <K>, <K> -> <K>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.broadcast' op drops the dimension K; a broadcast only adds dimensions}}
  %1 = lathe.broadcast %0 : <K> -> <V>
}

// -----
lathe.variant @v (K, M, V) {
  %S = lathe.state "S" : <K, M, V>
  // expected-error @+1 {{'lathe.affine' op updates a state over [K, M, V]; the normal form has at most two dimensions}}
  %0 = lathe.affine %S : <K, M, V> -> <K, M, V>
  lathe.update "S", %0 : <K, M, V>
}

// -----
lathe.variant @v (K, V) {
  %S = lathe.state "S" : <K, V>
  %g = lathe.input "g" : <K, V>
  // expected-error @+1 {{'lathe.affine' op has a log-decay over [K, V]; each has at most one dimension}}
  %0 = lathe.affine %S decay(%g) : <K, V>, <K, V> -> <K, V>
  lathe.update "S", %0 : <K, V>
}

// -----
lathe.variant @v (K, V) {
  %S = lathe.state "S" : <K, V>
  %v = lathe.input "v" : <V>
  // expected-error @+1 {{'lathe.affine' op has a key over V; accepted: a scalar, K}}
  %0 = lathe.affine %S outer(%v * %v) : <K, V>, <V>, <V> -> <K, V>
  lathe.update "S", %0 : <K, V>
}

// -----
lathe.variant @v (K, V) {
  %S = lathe.state "S" : <K, V>
  %k = lathe.input "k" : <K>
  // expected-error @+1 {{'lathe.affine' op has a value over K; accepted: a scalar, V}}
  %0 = lathe.affine %S outer(%k * %k) : <K, V>, <K>, <K> -> <K, V>
  lathe.update "S", %0 : <K, V>
}

// -----
lathe.variant @v (K, V) {
  %S = lathe.state "S" : <K, V>
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  // expected-error @+1 {{'lathe.affine' op has the right of a rank-1 term over V; accepted: a scalar, K}}
  %0 = lathe.affine %S rank1(%k * %v) : <K, V>, <K>, <V> -> <K, V>
  lathe.update "S", %0 : <K, V>
}

// -----
lathe.variant @v (K) chunked {
  %0 = lathe.param "x" : <K>
  // expected-error @+1 {{'lathe.cumulate' op takes a value for every token of the chunk; [K] has no dimension token}}
  %1 = lathe.cumulate %0 : <K> -> <K>
}

// -----
lathe.variant @v (K, V) {
  %S = lathe.state "S" : <K>
  // expected-error @+1 {{'lathe.affine' op contracts V, which its state over [K] does not have}}
  %0 = lathe.affine %S over "V" : <K> -> <K>
  lathe.update "S", %0 : <K>
}

// -----
lathe.variant @v (K) {
  %m = lathe.state "m" : <>
  %k = lathe.input "k" : <K>
  // expected-error @+1 {{'lathe.running_max' op has dimensions []; it has the dimensions of all of its operands: [K]}}
  %0 = lathe.running_max %m decay(%m) with %k : <>, <>, <K> -> <>
  lathe.update "m", %0 : <>
}

// -----
lathe.variant @v (K) chunked {
  %m = lathe.input "m" : <token>
  // expected-error @+1 {{'lathe.running_max' op starts from a value for every token; it starts from one state}}
  %0 = lathe.running_max %m decay(%m) with %m : <token>, <token>, <token> -> <token>
}

// -----
lathe.variant @v (K) chunked {
  %0 = lathe.input "x" : <token, K>
  // expected-error @+1 {{'lathe.cumulate' op has dimensions [token]; it has those of its operand: [token, K]}}
  %1 = lathe.cumulate %0 : <token, K> -> <token>
}

// -----
lathe.variant @v (K, V) chunked {
  %0 = lathe.input "x" : <token, K>
  %1 = lathe.input "v" : <token, V>
  %2 = lathe.scores %0, %0 over "K" : <token, K>, <token, K> -> <token, source>
  // expected-error @+1 {{'lathe.apply' op has a log-decay over K, which [token, V] does not have}}
  %3 = lathe.apply %2, %1 decay(%0 : !lathe.value<token, K>)
      : <token, source>, <token, V> -> <token, V>
}

// -----
lathe.variant @v (K, V) chunked {
  %0 = lathe.input "x" : <token, K>
  %1 = lathe.input "v" : <token, V>
  // expected-error @+1 {{'lathe.scores' op has an operand over V; accepted: a scalar, token, K}}
  %2 = lathe.scores %0, %1 over "K" : <token, K>, <token, V> -> <token, source>
}

// -----
lathe.variant @v (K, V) chunked {
  %0 = lathe.input "x" : <token, K>
  // expected-error @+1 {{'lathe.apply' op takes or gives scores with dimensions [token, K]; scores have [token, source]}}
  %1 = lathe.apply %0, %0 : <token, K>, <token, K> -> <token, K>
}

// -----
lathe.variant @v (K) chunked {
  %0 = lathe.input "x" : <token, K>
  // expected-error @+1 {{'lathe.solve' op has 1 right sides, 0 blocks and 1 results; n right sides take n * n blocks and give n results}}
  %1 = lathe.solve %0 blocks() : (!lathe.value<token, K>) -> !lathe.value<token, K>
}

// -----
// expected-error @+1 {{'lathe.variant' op has the attribute derived = "F"; it is a list of ["F", "taylor2", "K"]}}
lathe.variant @v (K, F) attributes {derived = "F"} { %0 = lathe.input "x" : <K> }

// -----
// expected-error @+1 {{'lathe.variant' op has the derived dimension ["F", "taylor2"]; write ["F", "taylor2", "K"]}}
lathe.variant @v (K, F) attributes {derived = [["F", "taylor2"]]} { %0 = lathe.input "x" : <K> }

// -----
// expected-error @+1 {{'lathe.variant' op derives F from N, but N is no dimension of the variant}}
lathe.variant @v (K, F) attributes {derived = [["F", "taylor2", "N"]]} { %0 = lathe.input "x" : <K> }

// -----
// expected-error @+1 {{'lathe.variant' op derives F by square; the functions that derive a dimension are: taylor2}}
lathe.variant @v (K, F) attributes {derived = [["F", "square", "K"]]} { %0 = lathe.input "x" : <K> }

// -----
// expected-error @+1 {{'lathe.variant' op derives F twice}}
lathe.variant @v (K, F) attributes {derived = [["F", "taylor2", "K"], ["F", "taylor2", "K"]]} { %0 = lathe.input "x" : <K> }

// -----
// expected-error @+1 {{'lathe.variant' op derives F from F, which is a derived dimension itself}}
lathe.variant @v (K, F) attributes {derived = [["F", "taylor2", "F"]]} { %0 = lathe.input "x" : <K> }

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.index' op goes along V, which is no dimension of the variant}}
  %0 = lathe.index "V" : <>
}

// -----
lathe.variant @v (K) {
  // expected-error @+1 {{'lathe.index' op has dimensions []; an index has the dimension that it goes along: [K]}}
  %0 = lathe.index "K" : <>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.rotate' op goes over V, which [K] does not have}}
  %1 = lathe.rotate %0 over "V" : <K> -> <K>
}

// -----
lathe.variant @v (K, V) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.rotate' op has dimensions [K, V]; it has those of its operand: [K]}}
  %1 = lathe.rotate %0 over "K" : <K> -> <K, V>
}

// -----
lathe.variant @v (K, F) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.taylor' op goes over F, which [K] does not have}}
  %1 = lathe.taylor %0 over "F" to "K" : <K> -> <K>
}

// -----
lathe.variant @v (K, F) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.taylor' op has dimensions [K]; Taylor features have the dimension of the features in place of that of x: [F]}}
  %1 = lathe.taylor %0 over "K" to "F" : <K> -> <K>
}

// -----
lathe.variant @v (K, F) {
  %0 = lathe.input "x" : <K>
  // expected-error @+1 {{'lathe.taylor_adjoint' op goes over F, which [K] does not have}}
  %1 = lathe.taylor_adjoint %0, %0 over "K" to "F" : <K>, <K> -> <K>
}

// -----
lathe.variant @v (K, F) {
  %0 = lathe.input "x" : <K>
  %1 = lathe.input "d" : <F>
  // expected-error @+1 {{'lathe.taylor_adjoint' op has dimensions [F]; the gradient has the dimensions of both operands but that of the features: [K]}}
  %2 = lathe.taylor_adjoint %0, %1 over "K" to "F" : <K>, <F> -> <F>
}
