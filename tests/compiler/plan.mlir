// RUN: %lathe_opt --print-plan %s | %check %s

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
