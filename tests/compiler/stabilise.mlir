// RUN: %lathe_opt --stabilise --simplify --verify-diagnostics %s | %check %s

// The gate, the decay and the normaliser share one maximum, which the quotient takes away.
// CHECK-LABEL: @normalised
lathe.variant @normalised (K, V) {
  %q = lathe.input "q" : <K>
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %i = lathe.input "i" : <>
  %g = lathe.input "g" in_log : <>
  %one = lathe.literal 1.0 : <>
  // CHECK: %S = lathe.state "S" : <K, V>
  // CHECK: %S.log_scale = lathe.state "S.log_scale" stabiliser : <>
  %S = lathe.state "S" : <K, V>
  %z = lathe.state "z" : <K>
  // CHECK: %[[M:.*]] = lathe.running_max %S.log_scale decay(%g) with %i : <>, <>, <> -> <>
  // CHECK: %[[D:.*]] = lathe.map arith.subf(%S.log_scale, %[[M]]) : <>, <> -> <>
  // CHECK: %[[I:.*]] = lathe.map arith.subf(%i, %[[M]]) : <>, <> -> <>
  // CHECK: %[[E:.*]] = lathe.map math.exp(%[[I]]) : <> -> <>
  // CHECK: %[[K:.*]] = lathe.map arith.mulf(%[[E]], %k) : <>, <K> -> <K>
  // CHECK: lathe.affine %S decay(%g, %[[D]]) outer(%[[K]] * %v)
  // CHECK: lathe.affine %z decay(%g, %[[D]]) outer(%[[K]] * %{{.*}})
  %0 = lathe.map math.exp(%i) : <> -> <>
  %1 = lathe.map arith.mulf(%0, %k) : <>, <K> -> <K>
  %2 = lathe.affine %S decay(%g) outer(%1 * %v) : <K, V>, <>, <K>, <V> -> <K, V>
  %3 = lathe.affine %z decay(%g) outer(%1 * %one) : <K>, <>, <K>, <> -> <K>
  %4 = lathe.contract %q, %2 over "K" : <K>, <K, V> -> <V>
  %5 = lathe.contract %q, %3 over "K" : <K>, <K> -> <>
  // CHECK: lathe.map arith.divf
  %6 = lathe.map arith.divf(%4, %5) : <V>, <> -> <V>
  lathe.output "o", %6 : <V>
  lathe.update "S", %2 : <K, V>
  lathe.update "z", %3 : <K>
}

// A gate that is bounded needs nothing.
// CHECK-LABEL: @bounded
lathe.variant @bounded (K, V) {
  // CHECK-NOT: running_max
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.input "g" in_log : <>
  %S = lathe.state "S" : <K, V>
  %0 = lathe.map math.exp(%g) : <> -> <>
  %1 = lathe.map arith.mulf(%0, %k) : <>, <K> -> <K>
  %2 = lathe.affine %S outer(%1 * %v) : <K, V>, <K>, <V> -> <K, V>
  %3 = lathe.contract %k, %2 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %3 : <V>
  lathe.update "S", %2 : <K, V>
}

// CHECK-LABEL: @not_divided
lathe.variant @not_divided (K, V) {
  // CHECK-NOT: running_max
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %i = lathe.input "i" : <>
  %S = lathe.state "S" : <K, V>
  %0 = lathe.map math.exp(%i) : <> -> <>
  %1 = lathe.map arith.mulf(%0, %k) : <>, <K> -> <K>
  // expected-remark @+1 {{nothing keeps the gate that writes to S finite: it is an exponential, and what is read from the state is not divided by what it wrote}}
  %2 = lathe.affine %S outer(%1 * %v) : <K, V>, <K>, <V> -> <K, V>
  %3 = lathe.contract %k, %2 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %3 : <V>
  lathe.update "S", %2 : <K, V>
}
