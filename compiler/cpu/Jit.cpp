#include "compiler/cpu/Jit.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar.h"

#include <stdexcept>

#define LATHE_JOIN(a, b, c) a##b##c
#define LATHE_INITIALIZE(native, part) LATHE_JOIN(LLVMInitialize, native, part)

extern "C" {
void LATHE_INITIALIZE(LATHE_NATIVE, TargetInfo)();
void LATHE_INITIALIZE(LATHE_NATIVE, Target)();
void LATHE_INITIALIZE(LATHE_NATIVE, TargetMC)();
void LATHE_INITIALIZE(LATHE_NATIVE, AsmPrinter)();
}

namespace lathe::cpu {

namespace {

template <typename Result> Result check(llvm::Expected<Result> result) {
  if (!result)
    throw std::runtime_error("no code for this processor: " + llvm::toString(result.takeError()));
  return std::move(*result);
}

void check(llvm::Error error) {
  if (error)
    throw std::runtime_error("no code for this processor: " + llvm::toString(std::move(error)));
}

void initializeTarget() {
  static const bool once = [] {
    LATHE_INITIALIZE(LATHE_NATIVE, TargetInfo)();
    LATHE_INITIALIZE(LATHE_NATIVE, Target)();
    LATHE_INITIALIZE(LATHE_NATIVE, TargetMC)();
    LATHE_INITIALIZE(LATHE_NATIVE, AsmPrinter)();
    return true;
  }();
  (void)once;
}

void lowerToLlvm(mlir::ModuleOp module) {
  mlir::MLIRContext* context = module.getContext();
  mlir::LLVMTypeConverter types(context);
  mlir::RewritePatternSet patterns(context);
  mlir::populateSCFToControlFlowConversionPatterns(patterns);
  mlir::cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
  mlir::populateVectorToLLVMConversionPatterns(types, patterns);
  mlir::populateMathToLLVMConversionPatterns(types, patterns);
  mlir::arith::populateArithToLLVMConversionPatterns(types, patterns);
  mlir::populateFuncToLLVMConversionPatterns(types, patterns);
  mlir::LLVMConversionTarget target(*context);
  target.addLegalOp<mlir::ModuleOp>();
  if (mlir::failed(mlir::applyFullConversion(module, target, std::move(patterns))))
    throw std::logic_error("the CPU target built a module that does not lower to LLVM");
}

/// The code is made of explicit vectors in loops that are already fused and blocked, so that what
/// is left to do is local: common subexpressions, addresses, and what does not change in a loop.
void optimise(llvm::Module& module) {
  llvm::legacy::PassManager passes;
  passes.add(llvm::createEarlyCSEPass(true));
  passes.add(llvm::createInstructionCombiningPass());
  passes.add(llvm::createCFGSimplificationPass());
  passes.add(llvm::createLICMPass());
  passes.add(llvm::createEarlyCSEPass(true));
  passes.add(llvm::createInstructionCombiningPass());
  passes.run(module);
}

/// Registers of 512 bits are used wherever there are any, also where LLVM would rather not.
void preferWideVectors(llvm::Module& module) {
  for (llvm::Function& function : module) {
    function.addFnAttr("prefer-vector-width", "512");
    function.addFnAttr("min-legal-vector-width", "512");
    function.addFnAttr("no-trapping-math", "true");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

}  // namespace

int nativeLanes() {
  static const int lanes = [] {
    const llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
    if (features.lookup("avx512f") && features.lookup("avx512vl"))
      return 16;
    return features.lookup("avx2") ? 8 : 4;
  }();
  return lanes;
}

void loadDialects(mlir::MLIRContext& context) {
  mlir::registerBuiltinDialectTranslation(context);
  mlir::registerLLVMDialectTranslation(context);
  context.loadDialect<mlir::func::FuncDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect,
                      mlir::cf::ControlFlowDialect, mlir::arith::ArithDialect,
                      mlir::math::MathDialect, mlir::LLVM::LLVMDialect>();
}

struct Jit::Code {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

Jit::Jit(mlir::ModuleOp module) : code(std::make_unique<Code>()) {
  initializeTarget();
  lowerToLlvm(module);
  auto context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> translated = mlir::translateModuleToLLVMIR(module, *context);
  if (!translated)
    throw std::logic_error("the CPU target built a module that does not translate to LLVM IR");

  auto machine = check(llvm::orc::JITTargetMachineBuilder::detectHost());
  machine.setCodeGenOptLevel(llvm::CodeGenOptLevel::Aggressive);
  auto target = check(machine.createTargetMachine());
  translated->setDataLayout(target->createDataLayout());
  translated->setTargetTriple(target->getTargetTriple().str());
  preferWideVectors(*translated);
  optimise(*translated);

  code->jit = check(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(machine).create());
  check(code->jit->addIRModule(
      llvm::orc::ThreadSafeModule(std::move(translated), std::move(context))));
}

Jit::~Jit() = default;

void* Jit::address(const std::string& function) const {
  return check(code->jit->lookup(function)).toPtr<void*>();
}

}  // namespace lathe::cpu
