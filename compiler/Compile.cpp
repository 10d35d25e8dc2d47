#include "compiler/Compile.h"

#include "compiler/dialect/Lower.h"
#include "compiler/passes/Passes.h"
#include "compiler/passes/Pipeline.h"
#include "compiler/passes/PlanVariant.h"
#include "compiler/passes/ScanGradient.h"
#include "compiler/reference/Prepare.h"
#include "compiler/spec/Parser.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <stdexcept>

namespace lathe {

namespace {

/// Runs the passes over the variants of one module and keeps what they remark.
class Compiler {
public:
  Compiler(mlir::MLIRContext& context, Diagnostics& diagnostics)
      : context(context), diagnostics(diagnostics),
        handler(&context, [this](auto& diagnostic) { return take(diagnostic); }) {}

  CompiledVariant compile(VariantOp variant) {
    remarks.clear();
    CompiledVariant compiled;
    compiled.name = variant.getSymName().str();
    run(variant, [](mlir::OpPassManager& passes) { passes.addPass(createSimplify()); });
    compiled.token = formOf(variant);
    const mlir::OwningOpRef<VariantOp> asWritten = variant.clone();
    run(variant, addNormalForm);
    compiled.normal = formOf(variant);
    compiled.isStabilised = !variant.getBody().getOps<RunningMaxOp>().empty();
    compiled.gradient =
        gradientOf(compiled.isStabilised ? variant : *asWritten, &compiled.backward);
    compiled.plan = planVariant(variant);
    findBackwardScans(variant, compiled);
    const bool isRecognised =
        llvm::all_of(variant.getBody().getOps<UpdateOp>(), [](UpdateOp update) {
          return llvm::isa<AffineOp, RunningMaxOp>(update.getValue().getDefiningOp());
        });
    if (isRecognised)
      run(variant, addChunkForm);
    if (variant.getChunked()) {
      compiled.chunk = formOf(variant);
      compiled.chunkGradient = gradientOf(variant);
    }
    std::vector<Remark>& all = compiled.plan.remarks;
    all.insert(all.begin(), remarks.begin(), remarks.end());
    for (const Remark& remark : all)
      diagnostics.remark({remark.line, remark.column, 1}, remark.text);
    return compiled;
  }

private:
  mlir::LogicalResult take(mlir::Diagnostic& diagnostic) {
    Remark remark = placeOf(diagnostic.getLocation());
    remark.text = diagnostic.str();
    if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Remark)
      remarks.push_back(std::move(remark));
    else
      failure = remark.text;
    return mlir::success();
  }

  template <typename AddPasses> void run(VariantOp variant, AddPasses addPasses) {
    mlir::PassManager passes(&context, VariantOp::getOperationName());
    addPasses(passes);
    if (mlir::failed(passes.run(variant)))
      throw std::logic_error("the compiler broke its own rules on the variant " +
                             variant.getSymName().str() + ": " + failure);
  }

  CompiledVariant::Form gradientOf(VariantOp variant, Plan* plan = nullptr) {
    const mlir::OwningOpRef<VariantOp> adjoint = variant.clone();
    run(*adjoint, addGradient);
    if (plan)
      *plan = planAdjoint(*adjoint);
    return formOf(*adjoint);
  }

  void findBackwardScans(VariantOp variant, CompiledVariant& compiled) {
    std::optional<ScanGradient> gradient = findScanGradient(variant, compiled.noBackwardScans);
    if (!gradient)
      return;
    const auto partOf = [&](VariantOp part) {
      run(part, [](mlir::OpPassManager& passes) { passes.addPass(createSimplify()); });
      CompiledVariant::Part result;
      result.plan = planPart(part);
      result.form = formOf(part);
      return result;
    };
    for (auto& scan : gradient->scans) {
      compiled.backwardScans.push_back(partOf(*scan));
      const Plan& plan = compiled.backwardScans.back().plan;
      if (!plan.scan)
        compiled.noBackwardScans = plan.remarks.empty() ? "no scan" : plan.remarks.back().text;
    }
    if (!compiled.noBackwardScans.empty())
      compiled.backwardScans.clear();
    else if (gradient->rest)
      compiled.backwardRest = partOf(*gradient->rest);
  }

  static CompiledVariant::Form formOf(VariantOp variant) {
    CompiledVariant::Form form;
    llvm::raw_string_ostream out(form.ir);
    variant.print(out);
    out << "\n";
    form.program = reference::prepare(variant);
    return form;
  }

  mlir::MLIRContext& context;
  Diagnostics& diagnostics;
  mlir::ScopedDiagnosticHandler handler;
  std::vector<Remark> remarks;
  std::string failure;
};

}  // namespace

const CompiledVariant::Form& CompiledVariant::form(Stage stage) const {
  if (stage == Stage::ir)
    return token;
  if (stage == Stage::normal)
    return normal;
  if (stage == Stage::gradient)
    return gradient;
  if (chunk)
    return stage == Stage::chunk ? *chunk : *chunkGradient;
  std::string reason;
  for (const Remark& remark : plan.remarks)
    reason += "; line " + std::to_string(remark.line) + ": " + remark.text;
  throw std::invalid_argument("variant " + name + " has no chunk form" + reason);
}

std::vector<CompiledVariant> compile(std::string_view text, std::string_view fileName,
                                     Diagnostics& diagnostics) {
  const spec::Spec spec = spec::parse(text, diagnostics);
  if (diagnostics.hasErrors())
    return {};
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<LatheDialect, mlir::arith::ArithDialect, mlir::math::MathDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> module =
      lower(spec, llvm::StringRef(fileName.data(), fileName.size()), context);
  std::vector<CompiledVariant> compiled;
  Compiler compiler(context, diagnostics);
  for (VariantOp variant : module->getOps<VariantOp>())
    compiled.push_back(compiler.compile(variant));
  return compiled;
}

Results interpret(const CompiledVariant& variant, const Arguments& arguments, int chunk,
                  int threads) {
  const Stage stage = chunk != 0 ? Stage::chunk : variant.isStabilised ? Stage::normal : Stage::ir;
  return reference::interpret(variant.form(stage).program, arguments, chunk, threads);
}

Gradients differentiate(const CompiledVariant& variant, const Arguments& arguments,
                        const Cotangents& cotangents, int chunk, int threads) {
  const Stage stage = chunk == 0 ? Stage::gradient : Stage::chunkGradient;
  return reference::differentiate(variant.form(stage).program, arguments, cotangents, chunk,
                                  threads);
}

}  // namespace lathe
