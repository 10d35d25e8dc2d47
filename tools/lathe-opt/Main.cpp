// Runs any pass of the compiler over MLIR text: lathe-opt --simplify --recognise-recurrence
// file.mlir
#include "compiler/passes/Passes.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char** argv) {
  lathe::registerLathePasses();
  mlir::DialectRegistry registry;
  registry.insert<lathe::LatheDialect, mlir::arith::ArithDialect, mlir::math::MathDialect>();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Lathe's optimiser driver\n", registry));
}
