#include "compiler/cpu/Gradient.h"

#include "compiler/cpu/Element.h"
#include "compiler/cpu/Sweep.h"
#include "compiler/plan/Dims.h"

#include <algorithm>
#include <list>
#include <stdexcept>
#include <string_view>

namespace lathe::cpu {

using reference::Declaration;
using reference::Program;
using Kind = Declaration::Kind;

namespace {

constexpr std::string_view prefix = "d.";

/// Of what a declaration is the gradient; -1 where it is none.
int originalOf(const Program& program, const Declaration& declaration) {
  if (!declaration.name.starts_with(prefix))
    return -1;
  for (const Kind kind : {Kind::input, Kind::param, Kind::constant, Kind::state})
    if (const int found = findDeclaration(program, kind, declaration.name.substr(prefix.size()));
        found >= 0)
      return found;
  return -1;
}

/// One call: the tensors that it lacks get memory here, and sums are taken after it.
class GradientRun {
public:
  GradientRun(const Program& program, const Target& target, const Call& call)
      : program(program), target(target), own(call) {
    findExtents();
  }

  void run(const Kernel& kernel) {
    for (const Declaration& declaration : program.declarations) {
      if (declaration.kind == Kind::output)
        provideOutput(declaration);
      else if (declaration.kind == Kind::input && declaration.name.starts_with(prefix))
        provideCotangent(declaration);
      else if (declaration.kind == Kind::state)
        provideTotal(declaration);
    }
    kernel.run(own);
    for (const Sum& sum : sums)
      add(sum);
  }

private:
  /// Elements of `from`, which is dense, that become one of `to`.
  struct Sum {
    TensorView from, to;
    std::vector<std::size_t> axes;  ///< Of `from`: `to` lacks them all, or is shorter along them.
  };

  void findExtents() {
    for (const Declaration& declaration : program.declarations) {
      const auto given = own.tensors.find(declaration.name);
      if (given == own.tensors.end() || declaration.kind == Kind::output)
        continue;
      const std::vector<std::int64_t>& shape = given->second.shape;
      if (declaration.kind == Kind::input && shape.size() > 2) {
        batch = shape[0];
        tokens = shape[1];
        heads = std::max(heads, shape[2]);
      } else if (declaration.kind == Kind::param && !shape.empty()) {
        heads = std::max(heads, shape[0]);
      }
    }
    const std::size_t starts =
        std::visit([](auto lengths) { return lengths.size(); }, own.cuSeqlens);
    sequences = starts > 0 ? static_cast<std::int64_t>(starts) - 1 : batch;
  }

  DType dtypeOf(const Declaration& declaration) const {
    const auto given = target.dtypes.find(declaration.name);
    return given == target.dtypes.end() ? DType::f32 : given->second;
  }

  std::vector<std::int64_t> shapeOf(const Declaration& declaration,
                                    std::vector<std::int64_t> leading) const {
    for (const std::string& dim : declaration.stored)
      leading.push_back(target.dims.at(dim));
    return leading;
  }

  TensorView allocate(DType dtype, const std::vector<std::int64_t>& shape) {
    std::vector<std::byte>& data = memory.emplace_back(countOf(shape) * bytes(dtype));
    return contiguous(data.data(), dtype, shape);
  }

  /// What is not wanted is computed all the same; an input with fewer heads gets its sum later.
  void provideOutput(const Declaration& declaration) {
    const std::vector<std::int64_t> whole = shapeOf(declaration, {batch, tokens, heads});
    const auto wanted = own.tensors.find(declaration.name);
    if (wanted == own.tensors.end()) {
      own.tensors[declaration.name] = allocate(dtypeOf(declaration), whole);
      return;
    }
    const auto input = own.tensors.find(declaration.name.substr(prefix.size()));
    if (input == own.tensors.end() || input->second.shape.size() != whole.size() ||
        input->second.shape[2] == heads || wanted->second.shape != input->second.shape)
      return;
    const TensorView to = wanted->second;
    wanted->second = allocate(to.dtype, whole);
    sums.push_back({wanted->second, to, {2}});
  }

  /// What the loss does not send back is a zero that all tokens and heads share.
  void provideCotangent(const Declaration& declaration) {
    if (own.tensors.contains(declaration.name))
      return;
    TensorView zero = allocate(dtypeOf(declaration), shapeOf(declaration, {1, 1, 1}));
    zero.shape[0] = batch;
    zero.shape[1] = tokens;
    zero.shape[2] = heads;
    zero.strides[0] = zero.strides[1] = zero.strides[2] = 0;
    own.tensors[declaration.name] = zero;
  }

  /// The gradient of a param or const is a state of every sequence and head.
  void provideTotal(const Declaration& declaration) {
    const int original = originalOf(program, declaration);
    if (original < 0 || program.declarations[original].kind == Kind::state)
      return;
    const auto wanted = own.tensors.find(declaration.name);
    if (wanted == own.tensors.end())
      return;
    const bool isConst = program.declarations[original].kind == Kind::constant;
    const TensorView to = wanted->second;
    own.tensors.erase(wanted);
    std::vector<std::int64_t> expected;
    if (!isConst)
      expected = shapeOf(declaration, {heads});
    if (to.dtype != DType::f32 || to.shape != expected || to.strides.size() != to.shape.size() ||
        !to.data)
      throw std::invalid_argument(
          "variant " + program.variant + ": " + declaration.name +
          (isConst ? " must be one f32 number without axes"
                   : " must be f32 and have the shape of the param, [heads, dims]"));
    const TensorView from = allocate(DType::f32, shapeOf(declaration, {sequences, heads}));
    own.final[declaration.name] = from;
    sums.push_back(
        {from, to, isConst ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{0}});
  }

  /// In fp32, in the order of memory of `from`.
  static void add(const Sum& sum) {
    const std::size_t axes = sum.from.shape.size();
    std::vector<std::int64_t> kept = sum.from.shape;  // What is left of each axis of `from`.
    for (const std::size_t axis : sum.axes)
      kept[axis] = sum.to.shape.size() == axes ? sum.to.shape[axis] : 1;
    std::vector<std::int64_t> strides(axes, 0);  // Of `to`, along the axes of `from`.
    for (std::size_t axis = axes, own = sum.to.shape.size(); axis-- > 0;)
      if (sum.to.shape.size() == axes || !isIn(sum.axes, axis))
        strides[axis] = sum.to.strides[--own];
    std::vector<float> totals(countOf(kept), 0);
    for (std::int64_t i = 0; i < countOf(sum.from.shape); ++i) {
      std::int64_t rest = i, at = 0, step = 1;
      for (std::size_t axis = axes; axis-- > 0;) {
        const std::int64_t size = sum.from.shape[axis];
        at += rest % size / (size / kept[axis]) * step;
        rest /= size;
        step *= kept[axis];
      }
      totals[at] += readElement(byteOf(sum.from, i), sum.from.dtype);
    }
    for (std::int64_t i = 0; i < countOf(kept); ++i) {
      std::int64_t rest = i, at = 0;
      for (std::size_t axis = axes; axis-- > 0;) {
        at += rest % kept[axis] * strides[axis];
        rest /= kept[axis];
      }
      writeElement(byteOf(sum.to, at), totals[i], sum.to.dtype);
    }
  }

  static bool isIn(const std::vector<std::size_t>& axes, std::size_t axis) {
    return std::find(axes.begin(), axes.end(), axis) != axes.end();
  }

  static std::int64_t countOf(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape)
      count *= size;
    return count;
  }

  static std::byte* byteOf(const TensorView& view, std::int64_t element) {
    return static_cast<std::byte*>(view.data) + element * bytes(view.dtype);
  }

  const Program& program;
  const Target& target;
  Call own;
  std::int64_t batch = 0, tokens = 0, heads = 1, sequences = 0;
  std::list<std::vector<std::byte>> memory;
  std::vector<Sum> sums;
};

}  // namespace

Gradient::Gradient(const Program& adjoint, const Target& target)
    : program(adjoint), target(target), kernel(adjoint, target) {
  this->target.dims = completeDims(program.variant, program.rules, target.dims);
}

void Gradient::run(const Call& call) const { GradientRun(program, target, call).run(kernel); }

}  // namespace lathe::cpu
