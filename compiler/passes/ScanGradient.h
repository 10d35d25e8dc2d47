// The gradient of a scan as programs that are scans again.
//
// With r = query @ S, a the decay, P_t = query_t dr_t + a_{t+1} P_{t+1} what flows into the state:
//
//   dquery_t = S_t dr_t,  dkey_t = P_t value_t,  dvalue_t = key_t @ P_t
//
// each a scan of its own, the last two in reverse with the decay behind the read. The log-decay
// needs no product with the states (the cumulative rule): with c_t = query_t . dquery_t - key_t .
// dkey_t, its gradient is the sum of c_s over s >= t, plus S_T . dS_T. (value_t . dvalue_t is the
// same as the latter, but the scans of queries and keys round the same scores.)
#pragma once

#include "compiler/dialect/Dialect.h"
#include "mlir/IR/OwningOpRef.h"

#include <vector>

namespace lathe {

/// What the gradient of a scan consists of; each is a part of the adjoint with some of its outputs.
struct ScanGradient {
  /// All of it: equal to the adjoint of derive-gradient, but that the sum for the decays,
  /// `S.log_decay`, starts from S_T . dS_T.
  mlir::OwningOpRef<VariantOp> whole;
  /// dquery; dkey; dvalue, with what the maps around them make of these, and the sums of rows that
  /// `rest` takes as inputs. Each has one matrix state: S, or d.S in reverse.
  std::vector<mlir::OwningOpRef<VariantOp>> scans;
  /// What is made of scalars of the token alone; null where nothing is.
  mlir::OwningOpRef<VariantOp> rest;
};

/// The parts of a variant in normal form, whose only state is a matrix with at most one decay a
/// token, read once after its update; nothing, and the reason, where its gradient has no such
/// parts.
std::optional<ScanGradient> findScanGradient(VariantOp variant, std::string& reason);

}  // namespace lathe
