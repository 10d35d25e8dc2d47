// RUN: %lathe_opt --simplify --recognise-recurrence --simplify --verify-diagnostics %s | %check %s

// Two statements compose, and the decay stays in the log domain.
// CHECK-LABEL: @delta_rule
lathe.variant @delta_rule (K, V) {
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %f = lathe.input "f" : <>
  %S = lathe.state "S" : <K, V>
  // CHECK-DAG: %[[D:.*]] = lathe.map lathe.sigmoid(%f) : <> -> <>
  // CHECK-DAG: %[[B:.*]] = lathe.map arith.mulf(%[[D]], %k) : <>, <K> -> <K>
  // CHECK-DAG: %[[G:.*]] = lathe.map lathe.logsigmoid(%f) : <> -> <>
  // CHECK-DAG: %[[A:.*]] = lathe.map arith.negf(%k) : <K> -> <K>
  // CHECK: %[[S:.*]] = lathe.affine %S decay(%[[G]]) rank1(%[[A]] * %[[B]]) outer(%k * %v)
  // CHECK: lathe.update "S", %[[S]] : <K, V>
  %d = lathe.map lathe.sigmoid(%f) : <> -> <>
  %0 = lathe.map arith.mulf(%d, %S) : <>, <K, V> -> <K, V>
  %1 = lathe.contract %k, %0 over "K" : <K>, <K, V> -> <V>
  %2 = lathe.map arith.subf(%v, %1) : <V>, <V> -> <V>
  %3 = lathe.map arith.mulf(%k, %2) : <K>, <V> -> <K, V>
  %4 = lathe.map arith.addf(%0, %3) : <K, V>, <K, V> -> <K, V>
  lathe.update "S", %4 : <K, V>
}

// What an output reads in the middle of the token is rewritten in terms of the old state.
// CHECK-LABEL: @middle
lathe.variant @middle (K, V) {
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.input "g" in_log : <K>
  %S = lathe.state "S" : <K, V>
  // CHECK: %[[D:.*]] = lathe.map math.exp(%g) : <K> -> <K>
  // CHECK: %[[Q:.*]] = lathe.map arith.mulf(%[[D]], %k) : <K>, <K> -> <K>
  // CHECK: %[[R:.*]] = lathe.contract %[[Q]], %S over "K" : <K>, <K, V> -> <V>
  // CHECK: lathe.output "o", %[[R]] : <V>
  // CHECK: lathe.affine %S decay(%g) outer(%k * %v)
  %d = lathe.map math.exp(%g) : <K> -> <K>
  %0 = lathe.map arith.mulf(%d, %S) : <K>, <K, V> -> <K, V>
  %1 = lathe.contract %k, %0 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %1 : <V>
  %2 = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
  %3 = lathe.map arith.addf(%0, %2) : <K, V>, <K, V> -> <K, V>
  lathe.update "S", %3 : <K, V>
}

// CHECK-LABEL: @positive_factors
lathe.variant @positive_factors (K, V) {
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %a = lathe.input "a" : <>
  %b = lathe.input "b" : <>
  %S = lathe.state "S" : <K, V>
  // (1 - sigmoid(a)) * sqrt(softplus(b)) / 2
  // CHECK-DAG: %[[LOG2:.*]] = lathe.literal 0.69314718055994529 : <>
  // CHECK-DAG: %[[HALF:.*]] = lathe.literal 5.000000e-01 : <>
  // CHECK: %[[SP:.*]] = lathe.map lathe.softplus(%b) : <> -> <>
  // CHECK: %[[NA:.*]] = lathe.map arith.negf(%a) : <> -> <>
  // CHECK: %[[LS:.*]] = lathe.map lathe.logsigmoid(%[[NA]]) : <> -> <>
  // CHECK: %[[LSP:.*]] = lathe.map math.log(%[[SP]]) : <> -> <>
  // CHECK: %[[ROOT:.*]] = lathe.map arith.mulf(%[[HALF]], %[[LSP]]) : <>, <> -> <>
  // CHECK: %[[SUM:.*]] = lathe.map arith.addf(%[[LS]], %[[ROOT]]) : <>, <> -> <>
  // CHECK: %[[G:.*]] = lathe.map arith.subf(%[[SUM]], %[[LOG2]]) : <>, <> -> <>
  // CHECK: lathe.affine %S decay(%[[G]]) outer(%k * %v)
  %one = lathe.literal 1.0 : <>
  %two = lathe.literal 2.0 : <>
  %0 = lathe.map lathe.sigmoid(%a) : <> -> <>
  %1 = lathe.map arith.subf(%one, %0) : <>, <> -> <>
  %2 = lathe.map lathe.softplus(%b) : <> -> <>
  %3 = lathe.map math.sqrt(%2) : <> -> <>
  %4 = lathe.map arith.mulf(%1, %3) : <>, <> -> <>
  %5 = lathe.map arith.divf(%4, %two) : <>, <> -> <>
  %6 = lathe.map arith.mulf(%5, %S) : <>, <K, V> -> <K, V>
  %7 = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
  %8 = lathe.map arith.addf(%6, %7) : <K, V>, <K, V> -> <K, V>
  lathe.update "S", %8 : <K, V>
}

// CHECK-LABEL: @not_affine
lathe.variant @not_affine (K, V) {
  // CHECK-NOT: lathe.affine
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %S = lathe.state "S" : <K, V>
  // expected-remark @+1 {{the recurrence of S is not recognised: tanh is applied to a value that depends on it; only the sequential form remains}}
  %0 = lathe.map math.tanh(%S) : <K, V> -> <K, V>
  %1 = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
  %2 = lathe.map arith.addf(%0, %1) : <K, V>, <K, V> -> <K, V>
  lathe.update "S", %2 : <K, V>
}

// CHECK-LABEL: @too_many_dimensions
lathe.variant @too_many_dimensions (K, M, V) {
  // expected-remark @+1 {{the recurrence of S is not recognised: it has more than two dimensions; only the sequential form remains}}
  %S = lathe.state "S" : <K, M, V>
  lathe.update "S", %S : <K, M, V>
}
