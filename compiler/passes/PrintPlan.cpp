#include "compiler/passes/Passes.h"
#include "compiler/passes/PlanVariant.h"

#include "llvm/Support/raw_ostream.h"

#include <nlohmann/json.hpp>

namespace lathe {

#define GEN_PASS_DEF_PRINTPLAN
#include "compiler/passes/Passes.h.inc"

namespace {

struct PrintPlanPass : impl::PrintPlanBase<PrintPlanPass> {
  void runOnOperation() override {
    llvm::outs() << nlohmann::json(planVariant(getOperation())).dump(2) << "\n";
    markAllAnalysesPreserved();
  }
};

}  // namespace
}  // namespace lathe
