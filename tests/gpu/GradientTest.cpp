// The backward pass: the adjoint of every variant against the interpreter.
#include "tests/gpu/Support.h"

#include <algorithm>

namespace lathe::test {
namespace {

/// The adjoint of one variant of the library.
struct Gradient : VariantTest {
  Case adjoint() const {
    Case one{.variant = adjointOf(variant()), .family = Family::sequential, .shape = {2, 70, 2}};
    one.how.initialStates = hasMatricesOnly();
    if (!variantNamed(variant()).plan.rules.derived.empty())
      one.K = 16;
    return one;
  }
  /// Vectors are divided by in most variants; they start from zero, as a sequence does.
  bool hasMatricesOnly() const {
    const std::vector<Operand>& operands = variantNamed(variant()).plan.operands;
    return std::none_of(operands.begin(), operands.end(), [](const Operand& operand) {
      return operand.kind == Operand::Kind::state && operand.dims.size() < 2;
    });
  }
};

/// For the emulator, too (tests/emulator).
TEST_P(Gradient, IsRightOnce) {
  Case one = adjoint();
  one.dtype = DType::f32;
  one.K = std::min(one.K, 8);
  one.V = 12;
  one.shape = {1, 37, 2};
  one.tile = Tile{16, 4, 32, 1, 8, 4, Form::general};
  expectRight({one});
}

INSTANTIATE_TEST_SUITE_P(Gpu, Gradient, testing::ValuesIn([] {
                           static const std::vector<std::string> all = libraryNames();
                           std::vector<const char*> names;
                           for (const std::string& name : all)
                             names.push_back(name.c_str());
                           return names;
                         }()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lathe::test
