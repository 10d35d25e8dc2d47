#include "compiler/passes/Pipeline.h"

#include "compiler/passes/Passes.h"

namespace lathe {

void addNormalForm(mlir::OpPassManager& passes) {
  passes.addPass(createRecogniseRecurrence());
  passes.addPass(createSimplify());
  passes.addPass(createStabilise());
  passes.addPass(createSimplify());
}

void addChunkForm(mlir::OpPassManager& passes) {
  passes.addPass(createFormChunks());
  passes.addPass(createSimplify());
}

void addGradient(mlir::OpPassManager& passes) {
  passes.addPass(createDeriveGradient());
  passes.addPass(createSimplify());
}

}  // namespace lathe
