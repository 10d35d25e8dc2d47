// What every test on a GPU shares: variants from their files, the interpreter as oracle, and calls
// that many threads prepare and check at once.
#pragma once

#include "compiler/Compile.h"
#include "runtime/Prepare.h"
#include "tuner/Verify.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lathe::test {

/// The file names in variants/ that every test here runs.
inline const char* const variantNames[] = {"linear_attention", "retnet", "mamba2", "gla",
                                           "gated_delta_net"};

/// All file names in variants/.
std::vector<std::string> libraryNames();

/// One of them, or, as in "gla_key", a scan of its backward pass.
const CompiledVariant& variantNamed(const std::string& name);
/// Lets `variantNamed` find a variant that is not in the library.
void addVariant(const std::string& name, const std::string& text);

/// Lets `variantNamed` find the adjoint of a variant as one of its own, and returns its name.
std::string adjointOf(const std::string& name);

/// One call of one kernel, to be compared with the interpreter.
struct Case {
  std::string variant;
  Family family = Family::scan;
  DType dtype = DType::bf16;  ///< Of inputs, outputs and tensor cores; params are f32.
  int K = 64, V = 64;         ///< Other dimensions have the size K.
  Shape shape{2, 40, 2};
  Draw how = {};
  Placement placement = {};
  DType stateType = DType::f32;
  std::optional<Tile> tile = {};       ///< Absent: the model's first.
  bool pairedHeads = false;            ///< Signature::pairedHeads
  std::optional<DType> gateType = {};  ///< Of log-decays, where it is not `dtype`.
};

/// "gla scan c16 b64 v64 s2 k1 x1, bf16, K 64 V 64, B 2 T 40 H 2, ..."
std::string describe(const Case& one);

Signature signatureOf(const Case& one);
Tile tileOf(const Case& one);
Problem problemOf(const Case& one);
/// Emits, compiles and loads.
std::unique_ptr<PreparedKernel> prepare(const Case& one);

/// The numbers of a call and what it must compute. Kept while the test that asks runs.
struct Reference {
  HostCall host;
  HostResult expected;
};
std::shared_ptr<const Reference> referenceOf(const Case& one, int threads = 1);

/// The interpreter for the tuner.
Oracle oracle();

/// Runs a case twice: nothing where both runs are right and the same to the bit.
std::string failureOf(const Case& one, int threads = 1);

/// Asks for the failures of so many calls on all cores; a test failure for each that is not empty.
void expectNoFailure(std::size_t count, const std::function<std::string(std::size_t)>& failureOf);

/// Runs every case, on all cores; a test failure for each that is wrong.
void expectRight(const std::vector<Case>& cases);

/// The families that can run `tokens` tokens of a variant.
std::vector<Family> familiesOf(const std::string& variant, std::int64_t tokens);

/// The case with the model's first tile of each form that this GPU has for it; in the form that
/// has segments, with as many as the launch chooses and with three.
std::vector<Case> everyForm(const Case& one);
/// The same of every family that takes the longest sequence of the case.
std::vector<Case> everyFamily(const Case& one);

/// Skips where there is no GPU.
struct GpuTest : testing::Test {
  void SetUp() override;
  void TearDown() override;

  std::optional<cuda::ContextScope> scope;
};

/// One test for each variant.
struct VariantTest : GpuTest, testing::WithParamInterface<const char*> {
  std::string variant() const { return GetParam(); }
};

/// GPU of the tests.
inline constexpr int device = 0;

}  // namespace lathe::test
