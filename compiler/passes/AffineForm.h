// How the values of a token depend on one state: not at all, affinely, or in a way that has no
// chunk form.
#pragma once

#include "compiler/dialect/Build.h"

#include "llvm/ADT/DenseMap.h"

namespace lathe {

/// A product of values that do not depend on the state, with a sign; empty is 1.
struct Product {
  bool negative = false;
  llvm::SmallVector<mlir::Value, 2> factors;

  /// The product as one value, without the sign.
  mlir::Value magnitude(TokenBuilder& builder) const;
  /// The product as one value.
  mlir::Value value(TokenBuilder& builder) const;
};

/// sum of decays * S + sum of left (right @ S) + sum of plains, where `@` contracts the key
/// dimension of S.
struct AffineForm {
  struct Read {
    Product left;
    mlir::Value right;
  };

  llvm::SmallVector<Product, 1> decays;  ///< Not empty: the value holds the state itself.
  llvm::SmallVector<Read, 2> reads;
  llvm::SmallVector<Product, 2> plains;

  /// Where the value stopped being affine, or null; `reason` then says why, and the sums above mean
  /// nothing.
  mlir::Operation* broken = nullptr;
  std::string reason;
};

/// The affine forms of all values of a variant in one of its states. Coefficients that need new
/// operations are built right before the operation that is analysed.
class AffineAnalysis {
public:
  /// `key` is the dimension that reads which flow back into the state contract; empty for a state
  /// without dimensions.
  AffineAnalysis(VariantOp variant, StateOp state, llvm::StringRef key);

  /// The form of a value that depends on the state; null for one that does not.
  const AffineForm* find(mlir::Value value) const;

  llvm::StringRef keyDim() const { return key; }      ///< Empty for a scalar state.
  llvm::StringRef valueDim() const { return value; }  ///< Empty for a state of one dimension.

  /// Splits a product into values that have at most one dimension of the state each, as far as
  /// multiplications allow.
  llvm::SmallVector<mlir::Value> factorsOf(llvm::ArrayRef<mlir::Value> product) const;

private:
  AffineForm analyse(mlir::Operation& op);
  AffineForm analyseMap(MapOp map);
  AffineForm analyseContraction(mlir::Operation& op, const AffineForm& form, mlir::Value plain,
                                llvm::StringRef dim);
  AffineForm scaled(const AffineForm& form, mlir::Value factor, mlir::Operation* at) const;
  bool hasBoth(mlir::Value factor) const;

  VariantOp variant;
  StateOp state;
  TokenBuilder builder;
  std::string key, value;
  llvm::DenseMap<mlir::Value, AffineForm> forms;
};

}  // namespace lathe
