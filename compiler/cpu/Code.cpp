#include "compiler/cpu/Code.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace lathe::cpu {

Value Code::integer(long value) { return create<arith::ConstantOp>(getI64IntegerAttr(value)); }

Value Code::add(Value a, Value b) { return createOrFold<arith::AddIOp>(a, b); }

Value Code::multiply(Value a, Value b) { return createOrFold<arith::MulIOp>(a, b); }

Value Code::index(Value a, Value i, long stride) {
  return stride == 0 ? a : add(a, multiply(i, integer(stride)));
}

Value Code::number(double value, Type type) {
  TypedAttr attribute = getF32FloatAttr(static_cast<float>(value));
  if (auto vector = llvm::dyn_cast<VectorType>(type))
    attribute = SplatElementsAttr::get(vector, attribute);
  return create<arith::ConstantOp>(attribute);
}

Value Code::splat(Value number) { return create<vector::SplatOp>(number, vector); }

Value Code::indices(Value start) {
  llvm::SmallVector<float> lane;
  for (int i = 0; i < lanes; ++i)
    lane.push_back(static_cast<float>(i));
  const Value offsets =
      create<arith::ConstantOp>(DenseElementsAttr::get(vector, llvm::ArrayRef(lane)));
  const Value first = create<arith::SIToFPOp>(getF32Type(), start);
  return create<arith::AddFOp>(splat(first), offsets);
}

Value Code::byteAddress(Value base, Value bytes) {
  return create<LLVM::GEPOp>(pointer, getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes});
}

Value Code::address(Value base, Value elements) {
  return create<LLVM::GEPOp>(pointer, getF32Type(), base, ArrayRef<LLVM::GEPArg>{elements});
}

Value Code::word(Value frame, int word, Type type) {
  return load(byteAddress(frame, integer(8L * word)), type);
}

Value Code::load(Value address, Type type) {
  return create<LLVM::LoadOp>(type, address, /*alignment=*/4);
}

void Code::store(Value value, Value address) {
  create<LLVM::StoreOp>(value, address, /*alignment=*/4);
}

Type Code::stored(DType dtype, Type like) {
  Type element = getF32Type();
  if (dtype == DType::f16)
    element = getF16Type();
  else if (dtype == DType::bf16)
    element = getI16Type();  // The upper half of an fp32.
  if (auto vector = llvm::dyn_cast<VectorType>(like))
    return VectorType::get(vector.getShape(), element);
  return element;
}

static Type integersLike(Type type, Type element) {
  if (auto vector = llvm::dyn_cast<VectorType>(type))
    return VectorType::get(vector.getShape(), element);
  return element;
}

static Value bits(Code& code, std::int32_t value, Type type) {
  TypedAttr attribute = code.getI32IntegerAttr(value);
  if (auto vector = llvm::dyn_cast<VectorType>(type))
    attribute = SplatElementsAttr::get(vector, attribute);
  return code.create<arith::ConstantOp>(attribute);
}

Value Code::widen(Value value, DType dtype) {
  if (dtype == DType::f32)
    return value;
  const Type wide = stored(DType::f32, value.getType());
  if (dtype == DType::f16)
    return create<arith::ExtFOp>(wide, value);
  const Type integers = integersLike(wide, getI32Type());
  const Value upper = create<arith::ShLIOp>(create<arith::ExtUIOp>(integers, value).getResult(),
                                            bits(*this, 16, integers));
  return create<arith::BitcastOp>(wide, upper);
}

/// bf16 by rounding to the nearest, ties to even; a NaN stays one.
Value Code::narrow(Value value, DType dtype) {
  if (dtype == DType::f32)
    return value;
  const Type narrowed = stored(dtype, value.getType());
  if (dtype == DType::f16)
    return create<arith::TruncFOp>(narrowed, value);
  const Type integers = integersLike(value.getType(), getI32Type());
  const Value all = create<arith::BitcastOp>(integers, value);
  const Value sixteen = bits(*this, 16, integers);
  const Value upper = create<arith::ShRUIOp>(all, sixteen);
  const Value odd = create<arith::AndIOp>(upper, bits(*this, 1, integers));
  const Value half = create<arith::AddIOp>(odd, bits(*this, 0x7fff, integers));
  const Value sum = create<arith::AddIOp>(all, half);
  const Value rounded = create<arith::ShRUIOp>(sum, sixteen);
  const Value quiet = create<arith::OrIOp>(upper, bits(*this, 0x40, integers));
  const Value isNan = create<arith::CmpFOp>(arith::CmpFPredicate::UNO, value, value);
  return create<arith::TruncIOp>(narrowed,
                                 create<arith::SelectOp>(isNan, quiet, rounded).getResult());
}

Value Code::mask(int count) {
  llvm::SmallVector<bool> isSet;
  for (int lane = 0; lane < lanes; ++lane)
    isSet.push_back(lane < count);
  return create<arith::ConstantOp>(
      DenseElementsAttr::get(VectorType::get(lanes, getI1Type()), isSet));
}

Value Code::loadAs(Value address, DType dtype) {
  return widen(create<LLVM::LoadOp>(stored(dtype, getF32Type()), address, bytes(dtype)), dtype);
}

Value Code::loadAs(Value address, DType dtype, int count) {
  const Type type = stored(dtype, vector);
  const auto alignment = static_cast<unsigned>(bytes(dtype));
  if (count >= lanes)
    return widen(create<LLVM::LoadOp>(type, address, alignment), dtype);
  const Value zero = create<LLVM::ZeroOp>(type);
  return widen(create<LLVM::MaskedLoadOp>(type, address, mask(count), zero, alignment), dtype);
}

void Code::storeAs(Value number, Value address, DType dtype) {
  create<LLVM::StoreOp>(narrow(number, dtype), address, static_cast<unsigned>(bytes(dtype)));
}

void Code::storeAs(Value value, Value address, DType dtype, int count) {
  const auto alignment = static_cast<unsigned>(bytes(dtype));
  const Value narrowed = narrow(value, dtype);
  if (count >= lanes)
    create<LLVM::StoreOp>(narrowed, address, alignment);
  else
    create<LLVM::MaskedStoreOp>(narrowed, address, mask(count), alignment);
}

Value Code::firstLanes(Value value, int count, Value other) {
  return count >= lanes ? value : create<arith::SelectOp>(mask(count), value, other).getResult();
}

Value Code::combine(Value a, Value b, bool isMax) {
  if (isMax)
    return create<arith::MaximumFOp>(a, b);
  return create<arith::AddFOp>(a, b);
}

/// The halves of a vector, combined until one lane is left.
Value Code::reduce(Value value, bool isMax) {
  for (int width = lanes / 2; width > 0; width /= 2) {
    llvm::SmallVector<int64_t> low, high;
    for (int lane = 0; lane < width; ++lane) {
      low.push_back(lane);
      high.push_back(lane + width);
    }
    value = combine(create<vector::ShuffleOp>(value, value, low),
                    create<vector::ShuffleOp>(value, value, high), isMax);
  }
  return create<vector::ExtractOp>(value, 0);
}

/// Pairs of vectors become one, whose lanes are the sums of lanes of either, until one is left:
/// what remains of row i then stands in lane i.
Value Code::reduceRows(ArrayRef<Value> rows, bool isMax) {
  Values all(rows);
  for (int width = lanes / 2; width > 0; width /= 2) {
    // Lane l of `all[n]` belongs to row n + size * (l / (2 * width)) before this step.
    Values next;
    const std::size_t half = all.size() / 2;
    for (std::size_t n = 0; n < half; ++n) {
      llvm::SmallVector<int64_t> low, high;
      for (int group = 0; group < lanes / (2 * width); ++group)
        for (int from : {0, lanes})
          for (int lane = 0; lane < width; ++lane) {
            low.push_back(from + group * 2 * width + lane);
            high.push_back(from + group * 2 * width + width + lane);
          }
      next.push_back(combine(create<vector::ShuffleOp>(all[n], all[n + half], low),
                             create<vector::ShuffleOp>(all[n], all[n + half], high), isMax));
    }
    all = std::move(next);
  }
  return all[0];
}

Code::Values Code::loop(Value begin, Value end, const Values& initial,
                        const std::function<Values(Value, const Values&)>& body) {
  auto loop = create<scf::ForOp>(begin, end, integer(1), initial);
  {
    const InsertionGuard guard(*this);
    setInsertionPointToStart(loop.getBody());
    const Values carried(loop.getRegionIterArgs().begin(), loop.getRegionIterArgs().end());
    const Values next = body(loop.getInductionVar(), carried);
    if (!initial.empty())  // Else the loop was made with its terminator.
      create<scf::YieldOp>(next);
  }
  return Values(loop.getResults());
}

}  // namespace lathe::cpu
