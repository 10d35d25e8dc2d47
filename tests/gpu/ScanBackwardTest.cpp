// The backward pass of scans as scans, joined: against the gradient in double precision.
#include "tests/gpu/Backward.h"

#include <algorithm>

namespace lathe::test {
namespace {

const Tile wide = {64, 64, 128, 2, 1, 1, Form::sm90a, 0};
const Tile narrow = {64, 64, 64, 2, 1, 1, Form::sm90a, 0};

/// Whose gradients take the sequential pass.
const std::set<std::string> notOfScans = {"d.scale", "d.gamma", "d.A_log", "d.dt_bias"};

BackwardCase caseOf(const std::string& variant, const Shape& shape) {
  BackwardCase backward{.one = {.variant = variant, .shape = shape}};
  backward.one.K = backward.one.V = 64;
  backward.tiles = {narrow};
  for (const Operand& operand : variantNamed(variant).plan.operands)
    if (notOfScans.count("d." + operand.name))
      backward.absent.insert("d." + operand.name);
  return backward;
}

using ScanBackward = VariantTest;

/// For the emulator, too (tests/emulator).
TEST_P(ScanBackward, IsRightOnce) {
  BackwardCase plain = caseOf(variant(), {1, 150, 2});
  BackwardCase strong = plain;
  strong.one.how.gateScale = 70;
  strong.one.how.initialStates = false;
  BackwardCase packed = plain;
  packed.one.how.cuSeqlens = {3, 3, 70, 71, 140};
  expectRight({plain, strong, packed});
}

/// Without the sums other kernels run.
TEST_P(ScanBackward, MayLeaveOutWhatIsNotWantedOrNotSent) {
  BackwardCase rows = caseOf(variant(), {1, 100, 2});
  for (const Operand& operand : variantNamed(variant()).plan.operands) {
    const bool isNumber = operand.kind == Operand::Kind::param ||
                          operand.kind == Operand::Kind::constant ||
                          (operand.kind == Operand::Kind::input && operand.dims.empty());
    if (isNumber)
      rows.absent.insert("d." + operand.name);
  }
  BackwardCase notSent = caseOf(variant(), {1, 100, 2});
  notSent.absent.insert("initial d.S");
  BackwardCase fewer = caseOf(variant(), {1, 100, 2});
  fewer.one.how.initialStates = false;
  fewer.absent.insert({"final d.S", "d.q", "d.v"});
  BackwardCase everything = caseOf(variant(), {1, 40, 2});
  everything.absent.clear();
  expectRight({rows, notSent, fewer, everything});
}

TEST_P(ScanBackward, OfLargeShapesIsRight) {
  std::vector<BackwardCase> cases;
  for (const int segments : {1, 3})
    for (const Layout layout : {Layout::bthd, Layout::bhtd}) {
      BackwardCase backward = caseOf(variant(), {2, 1000, 4});
      backward.one.K = backward.one.V = 128;
      backward.one.placement.layout = layout;
      backward.tiles = {wide};
      backward.tiles.front().segments = segments;
      for (const Operand& operand : variantNamed(variant()).plan.operands)
        if (operand.kind == Operand::Kind::input && operand.dims == std::vector<std::string>{"K"} &&
            layout == Layout::bhtd)
          backward.one.how.heads[operand.name] = 2;
      cases.push_back(backward);
    }
  expectRight(cases);
}

TEST_P(ScanBackward, IsTheSameToTheBitEachTime) {
  BackwardCase backward = caseOf(variant(), {1, 500, 4});
  backward.one.K = backward.one.V = 128;
  backward.tiles = {wide};
  backward.runs = 100;
  expectRight({backward});
}

INSTANTIATE_TEST_SUITE_P(Gpu, ScanBackward,
                         testing::Values("retnet", "simple_gla", "mamba2", "lightning"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
