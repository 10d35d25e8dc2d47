#ifndef LATHE_PASSES
#define LATHE_PASSES

include "mlir/Pass/PassBase.td"

def Simplify : Pass<"simplify", "::lathe::VariantOp"> {
  let summary = "Splits maps into single operations, folds, removes what is dead or done twice.";
}

def RecogniseRecurrence : Pass<"recognise-recurrence", "::lathe::VariantOp"> {
  let summary = "Brings the update of every state to the normal form, or remarks why it cannot.";
}

def Stabilise : Pass<"stabilise", "::lathe::VariantOp"> {
  let summary = "Keeps states that an exponential gate writes finite, by a running maximum.";
  let description = [{
    On the normal form. The states of one gate hold S exp(-m) in place of S; the state `S.log_scale`
    is m, zero where the call passes none.
  }];
}

def FormChunks : Pass<"form-chunks", "::lathe::VariantOp"> {
  let summary = "Computes a chunk of tokens at once, or remarks why it cannot.";
}

def DeriveGradient : Pass<"derive-gradient", "::lathe::VariantOp"> {
  let summary = "Turns a program in token or chunk form into its adjoint.";
  let description = [{
    Every output `o` becomes an input `d.o`; every state `S` gets a second one, `d.S`, which goes
    the other way and starts from the gradient of the final state; every input `x` gets an output
    `d.x`, every param and const `p` a state `d.p` that sums up its gradient over the tokens.
  }];
}

def PrintPlan : Pass<"print-plan", "::lathe::VariantOp"> {
  let summary = "Prints the plan of a variant in normal form as JSON on standard output.";
}

#endif
