// RUN: %lathe_opt --simplify %s | %check %s

// CHECK-LABEL: @folds
lathe.variant @folds (K) {
  // CHECK: %[[SEVEN:.*]] = lathe.literal 7.000000e+00 : <>
  %x = lathe.input "x" : <K>
  %zero = lathe.literal 0.0 : <>
  %one = lathe.literal 1.0 : <>
  %three = lathe.literal 3.0 : <>
  %0 = lathe.map arith.mulf(%x, %one) : <K>, <> -> <K>
  %1 = lathe.map arith.addf(%zero, %0) : <>, <K> -> <K>
  %2 = lathe.map arith.negf(%1) : <K> -> <K>
  %3 = lathe.map arith.negf(%2) : <K> -> <K>
  %4 = lathe.map arith.divf(%3, %one) : <K>, <> -> <K>
  // CHECK: lathe.output "same", %x : <K>
  lathe.output "same", %4 : <K>
  %5 = lathe.map arith.mulf(%three, %three) : <>, <> -> <>
  %6 = lathe.map arith.addf(%5, %one) : <>, <> -> <>
  %7 = lathe.map arith.subf(%6, %three) : <>, <> -> <>
  // CHECK: lathe.output "number", %[[SEVEN]] : <>
  lathe.output "number", %7 : <>
}

// A map of several operations becomes one map for each.
// CHECK-LABEL: @splits
lathe.variant @splits (K) {
  // CHECK: %[[TWO:.*]] = lathe.literal 2.000000e+00 : <>
  %x = lathe.input "x" : <K>
  // CHECK: %[[A:.*]] = lathe.map math.exp(%x) : <K> -> <K>
  // CHECK: %[[B:.*]] = lathe.map arith.mulf(%[[A]], %[[TWO]]) : <K>, <> -> <K>
  // CHECK: lathe.output "o", %[[B]] : <K>
  %0 = lathe.map(%x) : <K> -> <K> {
  ^bb0(%a: f64):
    %two = arith.constant 2.0 : f64
    %b = math.exp %a : f64
    %c = arith.mulf %b, %two : f64
    lathe.yield %c : f64
  }
  lathe.output "o", %0 : <K>
}

// What is computed twice is computed once; what nobody uses goes; inputs stay, since the caller passes them.
// CHECK-LABEL: @shares
lathe.variant @shares (K) {
  // CHECK-NEXT: %x = lathe.input "x" : <K>
  // CHECK-NEXT: %unused = lathe.input "unused" : <>
  %x = lathe.input "x" : <K>
  %unused = lathe.input "unused" : <>
  // CHECK-NEXT: %[[A:.*]] = lathe.map math.exp(%x) : <K> -> <K>
  // CHECK-NEXT: %[[B:.*]] = lathe.map arith.addf(%[[A]], %[[A]]) : <K>, <K> -> <K>
  %0 = lathe.map math.exp(%x) : <K> -> <K>
  %1 = lathe.map math.exp(%x) : <K> -> <K>
  %2 = lathe.map math.log(%x) : <K> -> <K>
  %3 = lathe.map arith.addf(%0, %1) : <K>, <K> -> <K>
  // CHECK-NEXT: lathe.output "o", %[[B]] : <K>
  lathe.output "o", %3 : <K>
}
