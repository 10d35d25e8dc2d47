// What of the scan family's form for sm_90a is written for a sum over all tokens (both directions
// without decay).
#include "compiler/cuda/HopperScanEmitter.h"

namespace lathe::cuda {

/// A sum maps keys and values in its sweep, and queries in its walk.
void HopperScanEmitter::writeProgram(Text& text) {
  if (!form.isSum()) {
    program.write(text);
    return;
  }
  program.clearStores();
  program.write(text);
  auto phase = [&](const char* name, const std::vector<const Product*>& mapped) {
    program.clearStores();
    for (const Product* product : mapped)
      storeRows(*product);
    text.line("  struct ", name, " {");
    text.line("  static constexpr bool kRowProgram = ", program.hasRowProgram() ? "true" : "false",
              ";");
    program.write(text);
    text.line("  };");
  };
  phase("Swept", {&key, &value});
  phase("Walked", {&query});
}

}  // namespace lathe::cuda
