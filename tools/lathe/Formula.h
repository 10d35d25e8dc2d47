// What the compiler understood and derived, as the equations that a paper would have: the normal
// form and the gradient of one token, and the chunk form of token i of a chunk.
#pragma once

#include "tools/lathe/FormulaPrinter.h"

#include <string>
#include <vector>

namespace lathe::tool {

/// The formulas of one variant. What is used more than once has a name: that of the spec's `let`,
/// of the field (G a running sum of log-decays, A scores, L and W a triangular system and its
/// solution, m a running maximum, P what flows back into a state), or x1, x2, ... What one form
/// names keeps its name in the next ones.
class Formulas {
public:
  enum class Style { text, latex };

  explicit Formulas(const CompiledVariant& variant);

  /// The lines of Stage::normal, chunk or gradient; none where the variant has no chunk form.
  /// LaTeX lines are rows of amsmath's align*.
  std::vector<std::string> lines(Stage stage, Style style) const;

  /// "token i of a chunk of C tokens, ..."
  std::string chunkLegend() const;

  /// A node of the plan, by its name if it has one, else as an expression.
  std::string text(int node) const;

private:
  struct Uses {
    int count = 0;
    bool isFactor = false;   ///< Of something other than a sum.
    bool isShifted = false;  ///< Read at another token.
  };

  void addForm(Stage stage, const reference::Program& program);
  void count(int term, std::map<int, Uses>& uses) const;
  void nameTerms(const std::map<int, Uses>& uses, const std::string& index);
  void addDefinitions(int term, std::set<int>& seen, std::vector<Equation>& equations);

  Terms terms;
  std::vector<int> nodes;  ///< The terms of the plan's nodes.
  std::set<int> defined;   ///< What has a name and an equation.
  std::map<std::pair<Stage, Style>, std::vector<std::string>> forms;
};

}  // namespace lathe::tool
