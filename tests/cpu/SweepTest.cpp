// Programs whose states go both ways: the later sweep reads states that are computed again from
// saved ones.
#include "compiler/reference/Prepare.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "tests/cpu/Support.h"

namespace lathe::test {
namespace {

constexpr double tolerance = 1e-5;

reference::Program prepareText(const char* text) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<LatheDialect, mlir::arith::ArithDialect, mlir::math::MathDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    throw std::runtime_error("the text of the test is no program");
  return reference::prepare(*module->getOps<VariantOp>().begin());
}

void expectSame(const reference::Program& program, const std::map<std::string, int>& dims) {
  for (const int tokens : {0, 1, 7, 65, 200}) {
    const Arguments call = randomCall(program, {"g"}, {2, tokens, 2}, dims);
    const Results expected = reference::interpret(program, call, 1, 1);
    for (const int spacing : {0, 1, 8, 300}) {
      CpuOptions options;
      options.spacing = spacing;
      expectClose(runOnCpu(program, call, options), expected, tolerance,
                  "T " + std::to_string(tokens) + ", spacing " + std::to_string(spacing));
    }
  }
}

/// The gradient of S <- exp(g) * S + k * v, o = q @ S: the adjoint P of S goes in reverse.
const char* const glaGradient = R"(lathe.variant @gla_gradient (K, V) {
  %q = lathe.input "q" : <K>
  %k = lathe.input "k" : <K>
  %v = lathe.input "v" : <V>
  %g = lathe.input "g" in_log : <K>
  %do = lathe.input "d_o" : <V>
  %S = lathe.state "S" : <K, V>
  %decay = lathe.map math.exp(%g) : <K> -> <K>
  %kept = lathe.map arith.mulf(%decay, %S) : <K>, <K, V> -> <K, V>
  %outer = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
  %new = lathe.map arith.addf(%kept, %outer) : <K, V>, <K, V> -> <K, V>
  lathe.update "S", %new : <K, V>
  %P = lathe.state "d_S" in_reverse : <K, V>
  %read = lathe.map arith.mulf(%q, %do) : <K>, <V> -> <K, V>
  %all = lathe.map arith.addf(%P, %read) : <K, V>, <K, V> -> <K, V>
  %dq = lathe.contract %new, %do over "V" : <K, V>, <V> -> <K>
  %dk = lathe.contract %all, %v over "V" : <K, V>, <V> -> <K>
  %dv = lathe.contract %k, %all over "K" : <K>, <K, V> -> <V>
  %dg = lathe.contract %all, %kept over "V" : <K, V>, <K, V> -> <K>
  lathe.output "d_q", %dq : <K>
  lathe.output "d_k", %dk : <K>
  lathe.output "d_v", %dv : <V>
  lathe.output "d_g", %dg : <K>
  %before = lathe.map arith.mulf(%decay, %all) : <K>, <K, V> -> <K, V>
  lathe.update "d_S", %before : <K, V>
})";

TEST(Sweeps, AnAdjointReadsTheStatesThatItNeeds) {
  const reference::Program program = prepareText(glaGradient);
  expectSame(program, {{"K", 5}, {"V", 19}});
  expectSame(program, {{"K", 33}, {"V", 16}});
}

/// A state of each kind in either direction, and a forward one that reads both of the others.
TEST(Sweeps, ThreeSweepsReadEachOther) {
  expectSame(prepareText(R"(lathe.variant @v (K, V) {
    %k = lathe.input "k" : <K>
    %v = lathe.input "v" : <V>
    %f = lathe.input "f" : <>
    %half = lathe.literal 0.5 : <>
    %S = lathe.state "S" : <K, V>
    %kept = lathe.map arith.mulf(%half, %S) : <>, <K, V> -> <K, V>
    %outer = lathe.map arith.mulf(%k, %v) : <K>, <V> -> <K, V>
    %new = lathe.map arith.addf(%kept, %outer) : <K, V>, <K, V> -> <K, V>
    lathe.update "S", %new : <K, V>
    %n = lathe.state "n" : <K>
    %half_n = lathe.map arith.mulf(%half, %n) : <>, <K> -> <K>
    %new_n = lathe.map arith.addf(%half_n, %k) : <K>, <K> -> <K>
    lathe.update "n", %new_n : <K>
    %R = lathe.state "R" in_reverse : <V>
    %read = lathe.contract %k, %S over "K" : <K>, <K, V> -> <V>
    %half_R = lathe.map arith.mulf(%half, %R) : <>, <V> -> <V>
    %new_R = lathe.map arith.addf(%half_R, %read) : <V>, <V> -> <V>
    lathe.update "R", %new_R : <V>
    %z = lathe.state "z" : <>
    %sum = lathe.contract %R, %v over "V" : <V>, <V> -> <>
    %dot = lathe.contract %n, %k over "K" : <K>, <K> -> <>
    %both = lathe.map arith.addf(%sum, %dot) : <>, <> -> <>
    %half_z = lathe.map arith.mulf(%half, %z) : <>, <> -> <>
    %new_z = lathe.map arith.addf(%half_z, %both) : <>, <> -> <>
    lathe.update "z", %new_z : <>
    %o = lathe.map arith.mulf(%f, %z) : <>, <> -> <>
    lathe.output "o", %o : <>
    %p = lathe.map arith.addf(%new, %z) : <K, V>, <> -> <K, V>
    lathe.output "p", %p : <K, V>
  })"),
             {{"K", 9}, {"V", 17}});
}

TEST(Sweeps, SequencesInOneRowAreApart) {
  const reference::Program program = prepareText(glaGradient);
  const Arguments packed = randomCall(program, {"g"}, {1, 40, 2}, {{"K", 4}, {"V", 6}});
  CpuOptions options;
  options.spacing = 4;
  options.lengths = {13, 0, 1, 26};
  Arguments withoutStates = packed;
  withoutStates.inputs.erase("S");
  withoutStates.inputs.erase("d_S");
  const Results all = runOnCpu(program, withoutStates, options);
  std::int64_t first = 0;
  for (const std::int64_t length : options.lengths) {
    Arguments one = withoutStates;
    for (auto& [name, tensor] : one.inputs) {
      const auto width = static_cast<std::int64_t>(tensor.data.size()) / 40;
      tensor.shape[1] = length;
      tensor.data = {tensor.data.begin() + first * width,
                     tensor.data.begin() + (first + length) * width};
    }
    const Results expected = reference::interpret(program, one, 1, 1);
    for (const auto& [name, tensor] : expected.outputs) {
      const Tensor& whole = all.outputs.at(name);
      const auto width = static_cast<std::int64_t>(whole.data.size()) / 40;
      const Tensor part{
          tensor.shape,
          {whole.data.begin() + first * width, whole.data.begin() + (first + length) * width}};
      EXPECT_LE(distance(part, tensor), tolerance) << name << " of " << length << " tokens";
    }
    first += length;
  }
}

}  // namespace
}  // namespace lathe::test
