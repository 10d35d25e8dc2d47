#include "compiler/dialect/Scalar.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe {

std::optional<Op> scalarOpOf(Operation* op) {
  return llvm::TypeSwitch<Operation*, std::optional<Op>>(op)
      .Case<arith::AddFOp>([](auto) { return Op::add; })
      .Case<arith::SubFOp>([](auto) { return Op::subtract; })
      .Case<arith::MulFOp>([](auto) { return Op::multiply; })
      .Case<arith::DivFOp>([](auto) { return Op::divide; })
      .Case<arith::NegFOp>([](auto) { return Op::negate; })
      .Case<arith::MinimumFOp>([](auto) { return Op::minimum; })
      .Case<arith::MaximumFOp>([](auto) { return Op::maximum; })
      .Case<math::ExpOp>([](auto) { return Op::exp; })
      .Case<math::LogOp>([](auto) { return Op::log; })
      .Case<math::SqrtOp>([](auto) { return Op::sqrt; })
      .Case<math::RsqrtOp>([](auto) { return Op::rsqrt; })
      .Case<math::AbsFOp>([](auto) { return Op::abs; })
      .Case<math::TanhOp>([](auto) { return Op::tanh; })
      .Case<SigmoidOp>([](auto) { return Op::sigmoid; })
      .Case<LogSigmoidOp>([](auto) { return Op::logsigmoid; })
      .Case<SoftplusOp>([](auto) { return Op::softplus; })
      .Case<ReluOp>([](auto) { return Op::relu; })
      .Case<SiluOp>([](auto) { return Op::silu; })
      .Case<EluOp>([](auto) { return Op::elu; })
      .Case<math::SinOp>([](auto) { return Op::sin; })
      .Case<math::CosOp>([](auto) { return Op::cos; })
      .Case<StepOp>([](auto) { return Op::step; })
      .Default([](Operation*) { return std::nullopt; });
}

std::optional<Op> scalarOpOf(MapOp map) {
  Block& body = map.getBody().front();
  if (body.getOperations().size() != 2)
    return std::nullopt;
  Operation& op = body.front();
  if (op.getNumResults() != 1 || body.getTerminator()->getOperand(0) != op.getResult(0) ||
      !llvm::equal(op.getOperands(), body.getArguments()))
    return std::nullopt;
  return scalarOpOf(&op);
}

Value createScalar(OpBuilder& builder, Location loc, Op op, ValueRange operands) {
  const Type f64 = builder.getF64Type();
  const auto create = [&]<typename Operation>() -> Value {
    return builder.create<Operation>(loc, TypeRange(f64), operands, ArrayRef<NamedAttribute>())
        ->getResult(0);
  };
  switch (op) {
  case Op::add:
    return create.operator()<arith::AddFOp>();
  case Op::subtract:
    return create.operator()<arith::SubFOp>();
  case Op::multiply:
    return create.operator()<arith::MulFOp>();
  case Op::divide:
    return create.operator()<arith::DivFOp>();
  case Op::negate:
    return create.operator()<arith::NegFOp>();
  case Op::minimum:
    return create.operator()<arith::MinimumFOp>();
  case Op::maximum:
    return create.operator()<arith::MaximumFOp>();
  case Op::exp:
    return create.operator()<math::ExpOp>();
  case Op::log:
    return create.operator()<math::LogOp>();
  case Op::sqrt:
    return create.operator()<math::SqrtOp>();
  case Op::rsqrt:
    return create.operator()<math::RsqrtOp>();
  case Op::abs:
    return create.operator()<math::AbsFOp>();
  case Op::tanh:
    return create.operator()<math::TanhOp>();
  case Op::sigmoid:
    return create.operator()<SigmoidOp>();
  case Op::logsigmoid:
    return create.operator()<LogSigmoidOp>();
  case Op::softplus:
    return create.operator()<SoftplusOp>();
  case Op::relu:
    return create.operator()<ReluOp>();
  case Op::silu:
    return create.operator()<SiluOp>();
  case Op::elu:
    return create.operator()<EluOp>();
  case Op::sin:
    return create.operator()<math::SinOp>();
  case Op::cos:
    return create.operator()<math::CosOp>();
  case Op::step:
    return create.operator()<StepOp>();
  }
  llvm_unreachable("every scalar operation is in the switch");
}

}  // namespace lathe
