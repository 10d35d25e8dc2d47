// RUN: %lathe_opt --derive-gradient --simplify %s | %check %s

// The adjoint of S goes the other way, and takes what the read sends back before it decays.
// CHECK-LABEL: @token (K, V) {
lathe.variant @token (K, V) {
  // CHECK-DAG: %q = lathe.input "q" : <K>
  // CHECK-DAG: %k = lathe.input "k" : <K>
  // CHECK-DAG: %v = lathe.input "v" : <V>
  // CHECK-DAG: %g = lathe.param "g" in_log : <>
  // CHECK-DAG: %S = lathe.state "S" : <K, V>
  %q = lathe.input "q" : <K>
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.param "g" in_log : <>
  %S = lathe.state "S" : <K, V>
  %0 = lathe.map math.exp(%g) : <> -> <>
  %1 = lathe.map arith.mulf(%0, %S) : <>, <K, V> -> <K, V>
  %2 = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
  // CHECK: %[[S:.*]] = lathe.map arith.addf(%{{.*}}, %{{.*}}) : <K, V>, <K, V> -> <K, V>
  %3 = lathe.map arith.addf(%1, %2) : <K, V>, <K, V> -> <K, V>
  %4 = lathe.contract %q, %3 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %4 : <V>
  // CHECK: lathe.update "S", %[[S]] : <K, V>
  lathe.update "S", %3 : <K, V>
  // CHECK: %[[DO:.*]] = lathe.input "d.o" : <V>
  // CHECK: %[[DS:.*]] = lathe.state "d.S" in_reverse : <K, V>
  // CHECK: %[[DQ:.*]] = lathe.contract %[[DO]], %[[S]] over "V" : <V>, <K, V> -> <K>
  // CHECK: %[[QDO:.*]] = lathe.map arith.mulf(%[[DO]], %q) : <V>, <K> -> <K, V>
  // CHECK: %[[P:.*]] = lathe.map arith.addf(%[[DS]], %[[QDO]])
  // CHECK: %[[DK:.*]] = lathe.contract %[[P]], %v over "V" : <K, V>, <V> -> <K>
  // CHECK: %[[DV:.*]] = lathe.contract %[[P]], %k over "K" : <K, V>, <K> -> <V>
  // CHECK: lathe.output "d.q", %[[DQ]] : <K>
  // CHECK: lathe.output "d.k", %[[DK]] : <K>
  // CHECK: lathe.output "d.v", %[[DV]] : <V>
  // CHECK: lathe.state "d.g" in_reverse : <>
  // CHECK-DAG: lathe.update "d.S", %{{.*}} : <K, V>
  // CHECK-DAG: lathe.update "d.g", %{{.*}} : <>
}

// Scores, applied scores and running sums turn round.
// CHECK-LABEL: @chunk (K, V) chunked {
lathe.variant @chunk (K, V) chunked {
  %q = lathe.input "q" : <token, K>
  %v = lathe.input "v" : <token, V>
  %g = lathe.input "g" in_log : <token>
  %0 = lathe.cumulate %g exclusive : <token> -> <token>
  lathe.output "sum", %0 : <token>
  %1 = lathe.scores %q, %q decay(%g : !lathe.value<token>) over "K" strict
      : <token, K>, <token, K> -> <token, source>
  // CHECK: %[[A:.*]] = lathe.scores %q, %q decay(%g : !lathe.value<token>) over "K" strict
  %2 = lathe.apply %1, %v : <token, source>, <token, V> -> <token, V>
  lathe.output "o", %2 : <token, V>
  // CHECK: %[[DO:.*]] = lathe.input "d.o" : <token, V>
  // CHECK: lathe.apply %[[A]], %[[DO]] transposed
  // CHECK: %[[DA:.*]] = lathe.scores %[[DO]], %v over "V"
  // CHECK: lathe.apply %[[DA]], %q decay(%g : !lathe.value<token>) strict
  // CHECK: lathe.apply %[[DA]], %q decay(%g : !lathe.value<token>) strict transposed
  // CHECK: lathe.cumulate %{{.*}} exclusive reverse : <token> -> <token>
}
