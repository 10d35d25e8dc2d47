// RUN: %lathe_opt --form-chunks --simplify --verify-diagnostics %s | %check %s

// CHECK-LABEL: @scan (K, V) chunked {
lathe.variant @scan (K, V) {
  // CHECK: %q = lathe.input "q" : <token, K>
  // CHECK: %v = lathe.input "v" : <token, V>
  // CHECK: %g = lathe.param "g" in_log : <>
  %q = lathe.input "q" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.param "g" in_log : <>
  // CHECK: %S = lathe.state "S" : <K, V>
  %S = lathe.state "S" : <K, V>
  // A param is the same for every token, and so is the decay.
  // CHECK: %[[G:.*]] = lathe.broadcast %g : <> -> <token>
  // CHECK: %[[SUM:.*]] = lathe.cumulate %[[G]] : <token> -> <token>
  // CHECK: %[[E:.*]] = lathe.map math.exp(%[[SUM]]) : <token> -> <token>
  // CHECK: %[[QE:.*]] = lathe.map arith.mulf(%q, %[[E]]) : <token, K>, <token> -> <token, K>
  // CHECK: %[[INTER:.*]] = lathe.contract %[[QE]], %S over "K" : <token, K>, <K, V> -> <token, V>
  // CHECK: %[[A:.*]] = lathe.scores %q, %q decay(%[[G]] : !lathe.value<token>) over "K"
  // CHECK: %[[INTRA:.*]] = lathe.apply %[[A]], %v : <token, source>, <token, V> -> <token, V>
  // CHECK: %[[O:.*]] = lathe.map arith.addf(%[[INTER]], %[[INTRA]])
  // CHECK: lathe.output "o", %[[O]] : <token, V>
  %1 = lathe.affine %S decay(%g) outer(%q * %v) : <K, V>, <>, <K>, <V> -> <K, V>
  %2 = lathe.contract %q, %1 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %2 : <V>
  // CHECK: %[[LAST:.*]] = lathe.sum %[[G]] over "token" : <token> -> <>
  // CHECK: %[[ALL:.*]] = lathe.map math.exp(%[[LAST]]) : <> -> <>
  // CHECK: %[[KEPT:.*]] = lathe.map arith.mulf(%[[ALL]], %S) : <>, <K, V> -> <K, V>
  // CHECK: %[[AFTER:.*]] = lathe.cumulate %[[G]] exclusive reverse : <token> -> <token>
  // CHECK: %[[EA:.*]] = lathe.map math.exp(%[[AFTER]]) : <token> -> <token>
  // CHECK: %[[KE:.*]] = lathe.map arith.mulf(%q, %[[EA]])
  // CHECK: %[[NEW:.*]] = lathe.contract %[[KE]], %v over "token"
  // CHECK: %[[SC:.*]] = lathe.map arith.addf(%[[KEPT]], %[[NEW]])
  // CHECK: lathe.update "S", %[[SC]] : <K, V>
  lathe.update "S", %1 : <K, V>
}

// A read of the old state sees strict scores and the decays before its own token.
// CHECK-LABEL: @before (K, V) chunked {
lathe.variant @before (K, V) {
  %q = lathe.input "q" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.input "g" in_log : <K>
  %S = lathe.state "S" : <K, V>
  // CHECK: lathe.cumulate %g exclusive : <token, K> -> <token, K>
  // CHECK: lathe.scores %q, %q decay(%g : !lathe.value<token, K>) over "K" strict
  %0 = lathe.contract %q, %S over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %0 : <V>
  %1 = lathe.affine %S decay(%g) outer(%q * %v) : <K, V>, <K>, <K>, <V> -> <K, V>
  lathe.update "S", %1 : <K, V>
}

// Two rank-1 terms are solved together.
// CHECK-LABEL: @rank1 (K, V) chunked {
lathe.variant @rank1 (K, V) {
  %a = lathe.input "a" : <K>
  %b = lathe.input "b" : <K>
  %v = lathe.input "v" : <V>
  %S = lathe.state "S" : <K, V>
  // CHECK-DAG: %[[AA:.*]] = lathe.scores %a, %a over "K" strict
  // CHECK-DAG: %[[AB:.*]] = lathe.scores %a, %b over "K" strict
  // CHECK-DAG: %[[BA:.*]] = lathe.scores %b, %a over "K" strict
  // CHECK-DAG: %[[BB:.*]] = lathe.scores %b, %b over "K" strict
  // CHECK: lathe.solve %{{.*}}, %{{.*}} blocks(%[[BA]], %[[BB]], %[[AA]], %[[AB]])
  %1 = lathe.affine %S rank1(%a * %b, %b * %a) outer(%a * %v)
      : <K, V>, <K>, <K>, <K>, <K>, <K>, <V> -> <K, V>
  lathe.update "S", %1 : <K, V>
}

// A decay over the second dimension goes with the values.
// CHECK-LABEL: @decay_over_values (K, V) chunked {
lathe.variant @decay_over_values (K, V) {
  %q = lathe.input "q" : <K>
  %v = lathe.input "v" : <V>
  %S = lathe.state "S" : <K, V>
  // CHECK: %[[A:.*]] = lathe.scores %q, %q over "K"
  // CHECK: lathe.apply %[[A]], %v decay(%v : !lathe.value<token, V>)
  %0 = lathe.affine %S decay(%v) outer(%q * %v) : <K, V>, <V>, <K>, <V> -> <K, V>
  %1 = lathe.contract %q, %0 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %1 : <V>
  lathe.update "S", %0 : <K, V>
}

// A state that goes from the last token to the first has the mirror image of every operation.
// CHECK-LABEL: @reverse (K, V) chunked {
lathe.variant @reverse (K, V) {
  %q = lathe.input "q" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.input "g" in_log : <>
  // CHECK: lathe.state "S" in_reverse : <K, V>
  %S = lathe.state "S" in_reverse : <K, V>
  // CHECK: lathe.cumulate %g exclusive reverse : <token> -> <token>
  // CHECK: lathe.scores %q, %q decay(%g : !lathe.value<token>) over "K" strict reverse
  %0 = lathe.contract %q, %S over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %0 : <V>
  // CHECK: lathe.cumulate %g exclusive : <token> -> <token>
  %1 = lathe.affine %S decay(%g) outer(%q * %v) : <K, V>, <>, <K>, <V> -> <K, V>
  lathe.update "S", %1 : <K, V>
}

// The query of one state is computed from another, and a vector is read as it stands.
// CHECK-LABEL: @pipeline (K, V) chunked {
lathe.variant @pipeline (K, V) {
  %q = lathe.input "q" : <K>
  %v = lathe.input "v" : <V>
  %n = lathe.state "n" : <K>
  %S = lathe.state "S" : <K, V>
  %one = lathe.literal 1.0 : <>
  // CHECK: lathe.apply %{{.*}}, %q : <token, source>, <token, K> -> <token, K>
  %0 = lathe.affine %n outer(%q * %one) : <K>, <K>, <> -> <K>
  %1 = lathe.map arith.divf(%q, %0) : <K>, <K> -> <K>
  %2 = lathe.affine %S outer(%q * %v) : <K, V>, <K>, <V> -> <K, V>
  %3 = lathe.contract %1, %2 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %3 : <V>
  lathe.update "n", %0 : <K>
  lathe.update "S", %2 : <K, V>
}

// CHECK-LABEL: @not_normal (K) {
lathe.variant @not_normal (K) {
  %S = lathe.state "S" : <K>
  %0 = lathe.map math.tanh(%S) : <K> -> <K>
  // expected-remark @+1 {{no chunk form: the update of the state S is not in normal form; only the sequential form remains}}
  lathe.update "S", %0 : <K>
}

// CHECK-LABEL: @scalar_state (K) chunked {
lathe.variant @scalar_state (K) {
  %c = lathe.state "c" : <>
  %0 = lathe.affine %c : <> -> <>
  lathe.update "c", %0 : <>
}

// CHECK-LABEL: @matrix_as_a_whole (K, V) {
lathe.variant @matrix_as_a_whole (K, V) {
  %S = lathe.state "S" : <K, V>
  %0 = lathe.affine %S : <K, V> -> <K, V>
  // expected-remark @+1 {{no chunk form: the state S is used other than by a contraction; only the sequential form remains}}
  %1 = lathe.map math.tanh(%0) : <K, V> -> <K, V>
  %2 = lathe.sum %1 over "K" : <K, V> -> <V>
  lathe.output "o", %2 : <V>
  lathe.update "S", %0 : <K, V>
}

// CHECK-LABEL: @query_over_values (K, V) {
lathe.variant @query_over_values (K, V) {
  %q = lathe.input "q" : <K, V>
  %S = lathe.state "S" : <K, V>
  %0 = lathe.affine %S : <K, V> -> <K, V>
  // expected-remark @+1 {{no chunk form: the state S is read with a query over [K, V]; only the sequential form remains}}
  %1 = lathe.contract %q, %0 over "K" : <K, V>, <K, V> -> <V>
  lathe.output "o", %1 : <V>
  lathe.update "S", %0 : <K, V>
}
