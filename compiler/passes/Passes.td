#ifndef LATHE_PASSES
#define LATHE_PASSES

include "mlir/Pass/PassBase.td"

def Simplify : Pass<"simplify", "::lathe::VariantOp"> {
  let summary = "Splits maps into single operations, folds, removes what is dead or done twice.";
}

def RecogniseRecurrence : Pass<"recognise-recurrence", "::lathe::VariantOp"> {
  let summary = "Brings the update of every state to the normal form, or remarks why it cannot.";
}

def FormChunks : Pass<"form-chunks", "::lathe::VariantOp"> {
  let summary = "Computes a chunk of tokens at once, or remarks why it cannot.";
}

def PrintPlan : Pass<"print-plan", "::lathe::VariantOp"> {
  let summary = "Prints the plan of a variant in normal form as JSON on standard output.";
}

#endif
