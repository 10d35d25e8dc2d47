// A part of a program: some of what it writes, and no more than that takes.
#pragma once

#include "compiler/dialect/Dialect.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

namespace lathe {

struct Slice {
  std::vector<OutputOp> outputs;
  std::vector<UpdateOp> updates;  ///< Beside those of the states that it reads.
  /// Values that another part hands over, or this one to another, and their names.
  std::vector<std::pair<mlir::Value, std::string>> taken, given;

  /// The part, as a variant of its own that `suffix` is added to the name of.
  mlir::OwningOpRef<VariantOp> take(VariantOp whole, llvm::StringRef suffix) const;
};

}  // namespace lathe
