// The face of the compiler: from the text of a spec to plans and to programs for the interpreter.
// No MLIR.
#pragma once

#include "compiler/plan/Plan.h"
#include "compiler/reference/Gradient.h"
#include "compiler/reference/Interpreter.h"
#include "compiler/spec/Diagnostics.h"

#include <string>
#include <string_view>
#include <vector>

namespace lathe {

enum class Stage {
  ir,             ///< As written, lowered and simplified.
  normal,         ///< Every state that has one in normal form.
  chunk,          ///< A chunk of tokens at a time.
  gradient,       ///< The adjoint, a token at a time.
  chunkGradient,  ///< The adjoint, a chunk of tokens at a time.
};

/// One variant of a spec, in every form. Plain data: it copies, moves and is read from several
/// threads.
struct CompiledVariant {
  /// One form: its MLIR text, and what the interpreter runs.
  struct Form {
    std::string ir;
    reference::Program program;
  };

  std::string name;
  Plan plan;
  Plan backward;  ///< Of the gradient: the adjoint a token at a time.
  Form token, normal, gradient;
  std::optional<Form> chunk, chunkGradient;  ///< Absent: the remarks of the plan say why.
  /// The backward pass of a scan as programs of their own (compiler/passes/ScanGradient.h).
  struct Part {
    Plan plan;
    Form form;
  };
  std::vector<Part> backwardScans;   ///< Empty where there are none, for the reason below.
  std::optional<Part> backwardRest;  ///< What is made of scalars of the token.
  std::string noBackwardScans;
  bool isStabilised = false;  ///< From the normal form on, states hold S exp(-m), m one more state.

  bool has(Stage stage) const {
    return chunk || (stage != Stage::chunk && stage != Stage::chunkGradient);
  }
  /// The form of a stage. Throws std::invalid_argument where the variant has no chunk form.
  const Form& form(Stage stage) const;
  /// The MLIR text of a stage. Throws as `form`.
  const std::string& ir(Stage stage) const { return form(stage).ir; }
};

/// Compiles every variant of the text. On errors the list is empty and `diagnostics` says why;
/// remarks of the passes are added to `diagnostics` and stand in Plan::remarks. `fileName` goes
/// into the locations of the IR.
std::vector<CompiledVariant> compile(std::string_view text, std::string_view fileName,
                                     Diagnostics& diagnostics);

/// Runs a variant in double precision: token by token where `chunk` is 0 (as written, or in normal
/// form where that is stabilised), else in its chunk form, `chunk` tokens at a time. Shapes and
/// errors: compiler/reference/Interpreter.h.
Results interpret(const CompiledVariant& variant, const Arguments& arguments, int chunk,
                  int threads);

/// The gradients of a call, through the adjoint of the same form. Shapes and errors:
/// compiler/reference/Gradient.h.
Gradients differentiate(const CompiledVariant& variant, const Arguments& arguments,
                        const Cotangents& cotangents, int chunk, int threads);

}  // namespace lathe
