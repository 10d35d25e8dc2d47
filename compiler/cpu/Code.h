// Writes MLIR on 64-bit integers, pointers, fp32 numbers and vectors of `lanes` of them.
#pragma once

#include "compiler/cuda/Kernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <functional>

namespace lathe::cpu {

class Code : public mlir::ImplicitLocOpBuilder {
public:
  Code(mlir::Location loc, mlir::OpBuilder builder, int lanes)
      : mlir::ImplicitLocOpBuilder(loc, builder), lanes(lanes),
        vector(mlir::VectorType::get(lanes, getF32Type())),
        pointer(mlir::LLVM::LLVMPointerType::get(getContext())) {}

  mlir::Value integer(long value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value multiply(mlir::Value a, mlir::Value b);
  /// a + i * stride, with the constants folded.
  mlir::Value index(mlir::Value a, mlir::Value i, long stride);

  mlir::Value number(double value, mlir::Type type);
  mlir::Value splat(mlir::Value number);

  /// start, start + 1, ...
  mlir::Value indices(mlir::Value start);

  /// `base` and so many bytes, or elements of fp32.
  mlir::Value byteAddress(mlir::Value base, mlir::Value bytes);
  mlir::Value address(mlir::Value base, mlir::Value elements);
  mlir::Value word(mlir::Value frame, int word, mlir::Type type);

  mlir::Value load(mlir::Value address, mlir::Type type);
  void store(mlir::Value value, mlir::Value address);

  /// A number of the call at `address`, or the first `count` of them in a vector, the rest zero.
  mlir::Value loadAs(mlir::Value address, DType dtype);
  mlir::Value loadAs(mlir::Value address, DType dtype, int count);
  void storeAs(mlir::Value number, mlir::Value address, DType dtype);
  void storeAs(mlir::Value value, mlir::Value address, DType dtype, int count);

  /// `value` in the first `count` lanes, `other` in the rest.
  mlir::Value firstLanes(mlir::Value value, int count, mlir::Value other);
  /// All lanes of one vector, summed or their maximum.
  mlir::Value reduce(mlir::Value vector, bool isMax);
  /// One vector whose lane i is vector i reduced.
  mlir::Value reduceRows(llvm::ArrayRef<mlir::Value> rows, bool isMax);
  mlir::Value combine(mlir::Value a, mlir::Value b, bool isMax);

  using Values = llvm::SmallVector<mlir::Value>;
  /// A loop over begin ... end whose body takes the index and the values that it carries, and gives
  /// them for the next turn.
  Values loop(mlir::Value begin, mlir::Value end, const Values& initial,
              const std::function<Values(mlir::Value, const Values&)>& body);

  const int lanes;
  const mlir::VectorType vector;
  const mlir::Type pointer;

private:
  mlir::Value widen(mlir::Value value, DType dtype);
  mlir::Value narrow(mlir::Value value, DType dtype);
  mlir::Type stored(DType dtype, mlir::Type like);
  mlir::Value mask(int count);
};

}  // namespace lathe::cpu
