// RUN: %lathe_opt --mlir-disable-threading --print-plan %s | %check %s

// CHECK: "remarks": []
// CHECK: "scan": {
// CHECK-DAG: "decay": "vector"
// CHECK-DAG: "keyDim": "K"
// CHECK-DAG: "valueDim": "V"
// CHECK: "variant": "gla"
lathe.variant @gla (K, V) {
  %q = lathe.input "q" : <K>
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.input "g" in_log : <K>
  %S = lathe.state "S" : <K, V>
  %1 = lathe.affine %S decay(%g) outer(%k * %v) : <K, V>, <K>, <K>, <V> -> <K, V>
  %2 = lathe.contract %q, %1 over "K" : <K>, <K, V> -> <V>
  lathe.output "o", %2 : <V>
  lathe.update "S", %1 : <K, V>
}

// CHECK: "derived": [
// CHECK: "dim": "F"
// CHECK: "from": "K"
// CHECK: "function": "taylor2"
// CHECK: "text": "the scan family does not run it: it forms Taylor features"
// CHECK: "variant": "features"
lathe.variant @features (K, F) attributes {derived = [["F", "taylor2", "K"]]} {
  %x = lathe.input "x" : <K>
  %z = lathe.state "z" : <F>
  %0 = lathe.taylor %x over "K" to "F" : <K> -> <F>
  %1 = lathe.map arith.addf(%z, %0) : <F>, <F> -> <F>
  lathe.output "o", %1 : <F>
  lathe.update "z", %1 : <F>
}

// CHECK: "even": [
// CHECK-NEXT: "K"
// CHECK: "kind": "rotate"
// CHECK: "text": "the scan family does not run it: it turns pairs of elements by their position"
// CHECK: "variant": "pairs"
lathe.variant @pairs (K) {
  %x = lathe.input "x" : <K>
  %z = lathe.state "z" : <K>
  %0 = lathe.rotate %x over "K" : <K> -> <K>
  %1 = lathe.map arith.addf(%z, %0) : <K>, <K> -> <K>
  lathe.output "o", %1 : <K>
  lathe.update "z", %1 : <K>
}

// CHECK: "reverse": true
// CHECK: "text": "the scan family does not run it: the state z goes in reverse"
// CHECK: "variant": "backwards"
lathe.variant @backwards (K) {
  %x = lathe.input "x" : <K>
  %z = lathe.state "z" in_reverse : <K>
  %1 = lathe.map arith.addf(%z, %x) : <K>, <K> -> <K>
  lathe.output "o", %1 : <K>
  lathe.update "z", %1 : <K>
}
