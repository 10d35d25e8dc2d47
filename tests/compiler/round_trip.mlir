// Every operation prints what it parses.
// RUN: %lathe_opt %s | %lathe_opt | %check %s
// RUN: %lathe_opt --mlir-print-op-generic %s | %lathe_opt | %check %s

// CHECK-LABEL: lathe.variant @tokens (K, V) {
lathe.variant @tokens (K, V) {
  // CHECK: %q = lathe.input "q" : <K>
  %q = lathe.input "q" : <K>
  // CHECK: %v = lathe.input "v" {stored = ["V"]} : <V>
  %v = lathe.input "v" {stored = ["V"]} : <V>
  // CHECK: %g = lathe.param "g" in_log : <>
  %g = lathe.param "g" in_log : <>
  // CHECK: %[[K:.*]] = lathe.dim "K" : <>
  %k = lathe.dim "K" : <>
  // CHECK: %scale = lathe.constant "scale" = %[[K]] : <>
  %scale = lathe.constant "scale" = %k : <>
  // CHECK: lathe.literal 5.000000e-01 : <>
  %half = lathe.literal 0.5 : <>
  // CHECK: lathe.position : <>
  %p = lathe.position : <>
  // CHECK: %S = lathe.state "S" : <K, V>
  %S = lathe.state "S" : <K, V>
  // CHECK: lathe.map arith.mulf(%q, %v) : <K>, <V> -> <K, V>
  %0 = lathe.map arith.mulf(%q, %v) : <K>, <V> -> <K, V>
  // CHECK: lathe.map lathe.softplus(%q) : <K> -> <K>
  %1 = lathe.map lathe.softplus(%q) : <K> -> <K>
  // CHECK: lathe.map(%q, %scale) : <K>, <> -> <K> {
  // CHECK-NEXT: ^bb0(%[[X:.*]]: f64, %[[Y:.*]]: f64):
  // CHECK-NEXT: %[[A:.*]] = math.exp %[[X]] : f64
  // CHECK-NEXT: %[[B:.*]] = arith.mulf %[[A]], %[[Y]] : f64
  // CHECK-NEXT: lathe.yield %[[B]] : f64
  %2 = lathe.map(%q, %scale) : <K>, <> -> <K> {
  ^bb0(%x: f64, %y: f64):
    %a = math.exp %x : f64
    %b = arith.mulf %a, %y : f64
    lathe.yield %b : f64
  }
  // CHECK: lathe.sum %q over "K" : <K> -> <>
  %3 = lathe.sum %q over "K" : <K> -> <>
  // CHECK: lathe.max %q over "K" : <K> -> <>
  %4 = lathe.max %q over "K" : <K> -> <>
  // CHECK: lathe.contract %q, %S over "K" : <K>, <K, V> -> <V>
  %5 = lathe.contract %q, %S over "K" : <K>, <K, V> -> <V>
  // CHECK: lathe.broadcast %v : <V> -> <K, V>
  %6 = lathe.broadcast %v : <V> -> <K, V>
  // CHECK: lathe.affine %S decay(%g, %q) rank1(%q * %q, %q * %q) outer(%q * %v)
  // CHECK-SAME: : <K, V>, <>, <K>, <K>, <K>, <K>, <K>, <K>, <V> -> <K, V>
  %7 = lathe.affine %S decay(%g, %q) rank1(%q * %q, %q * %q) outer(%q * %v)
      : <K, V>, <>, <K>, <K>, <K>, <K>, <K>, <K>, <V> -> <K, V>
  // CHECK: lathe.affine %S : <K, V> -> <K, V>
  %8 = lathe.affine %S : <K, V> -> <K, V>
  // CHECK: lathe.affine %S over "V" outer(%v * %q) : <K, V>, <V>, <K> -> <K, V>
  %9 = lathe.affine %S over "V" outer(%v * %q) : <K, V>, <V>, <K> -> <K, V>
  // CHECK: lathe.state "m" in_reverse stabiliser : <>
  %m = lathe.state "m" in_reverse stabiliser : <>
  // CHECK: lathe.running_max %m decay(%g) with %g exclusive reverse : <>, <>, <> -> <>
  %10 = lathe.running_max %m decay(%g) with %g exclusive reverse : <>, <>, <> -> <>
  lathe.update "m", %10 : <>
  // CHECK: lathe.output "o", %{{.*}} : <V>
  lathe.output "o", %5 : <V>
  // CHECK: lathe.update "S", %{{.*}} : <K, V>
  lathe.update "S", %7 : <K, V>
}

// CHECK-LABEL: lathe.variant @chunks (K, V) chunked {
lathe.variant @chunks (K, V) chunked {
  %q = lathe.input "q" : <token, K>
  %v = lathe.input "v" : <token, V>
  // CHECK: lathe.cumulate %q : <token, K> -> <token, K>
  %0 = lathe.cumulate %q : <token, K> -> <token, K>
  // CHECK: lathe.cumulate %q exclusive : <token, K> -> <token, K>
  %1 = lathe.cumulate %q exclusive : <token, K> -> <token, K>
  // CHECK: lathe.cumulate %q exclusive reverse : <token, K> -> <token, K>
  %2 = lathe.cumulate %q exclusive reverse : <token, K> -> <token, K>
  // CHECK: lathe.cumulate %q reverse : <token, K> -> <token, K>
  %3 = lathe.cumulate %q reverse : <token, K> -> <token, K>
  // CHECK: %[[A:.*]] = lathe.scores %q, %q decay(%q : !lathe.value<token, K>) over "K" strict
  // CHECK-SAME: : <token, K>, <token, K> -> <token, source>
  %4 = lathe.scores %q, %q decay(%q : !lathe.value<token, K>) over "K" strict
      : <token, K>, <token, K> -> <token, source>
  // CHECK: lathe.scores %q, %q over "K" : <token, K>, <token, K> -> <token, source>
  %5 = lathe.scores %q, %q over "K" : <token, K>, <token, K> -> <token, source>
  // CHECK: lathe.apply %[[A]], %v : <token, source>, <token, V> -> <token, V>
  %6 = lathe.apply %4, %v : <token, source>, <token, V> -> <token, V>
  // CHECK: lathe.solve %v blocks(%[[A]]) : (!lathe.value<token, V>, !lathe.value<token, source>)
  %7 = lathe.solve %v blocks(%4)
      : (!lathe.value<token, V>, !lathe.value<token, source>) -> !lathe.value<token, V>
  // CHECK: lathe.apply %[[A]], %q decay(%q : !lathe.value<token, K>) strict reverse transposed
  %8 = lathe.apply %4, %q decay(%q : !lathe.value<token, K>) strict reverse transposed
      : <token, source>, <token, K> -> <token, K>
  // CHECK: lathe.solve %v blocks(%[[A]]) decay(%v) reverse transposed
  %9 = lathe.solve %v blocks(%4) decay(%v) reverse transposed
      : (!lathe.value<token, V>, !lathe.value<token, source>, !lathe.value<token, V>)
      -> !lathe.value<token, V>
}

// CHECK-LABEL: lathe.variant @features (K, F) attributes {derived = {{\[}}["F", "taylor2", "K"]]} {
lathe.variant @features (K, F) attributes {derived = [["F", "taylor2", "K"]]} {
  %x = lathe.input "x" : <K>
  // CHECK: lathe.index "K" : <K>
  %0 = lathe.index "K" : <K>
  // CHECK: lathe.rotate %x over "K" : <K> -> <K>
  %1 = lathe.rotate %x over "K" : <K> -> <K>
  // CHECK: %[[F:.*]] = lathe.taylor %x over "K" to "F" : <K> -> <F>
  %2 = lathe.taylor %x over "K" to "F" : <K> -> <F>
  // CHECK: lathe.taylor_adjoint %x, %[[F]] over "K" to "F" : <K>, <F> -> <K>
  %3 = lathe.taylor_adjoint %x, %2 over "K" to "F" : <K>, <F> -> <K>
  // CHECK: lathe.map math.sin(%x) : <K> -> <K>
  %4 = lathe.map math.sin(%x) : <K> -> <K>
  // CHECK: lathe.map math.cos(%x) : <K> -> <K>
  %5 = lathe.map math.cos(%x) : <K> -> <K>
  // CHECK: lathe.map lathe.step(%x) : <K> -> <K>
  %6 = lathe.map lathe.step(%x) : <K> -> <K>
}
