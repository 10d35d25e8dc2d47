#include "compiler/cuda/Segments.h"
#include "compiler/cuda/Space.h"
#include "runtime/Device.h"
#include "tests/gpu/BackwardOracle.h"
#include "tuner/BackwardPass.h"
#include "tuner/Numbers.h"
#include "tuner/Sequences.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>
#include <sstream>

namespace lathe::test {

namespace {

using Kind = Operand::Kind;

Kernels& kernels() {
  static auto* all = new Kernels;
  return *all;
}

/// A call of the sequence, and its memory.
class DeviceTensors {
public:
  explicit DeviceTensors(const Placement& placement) : placement(placement) {}

  TensorView upload(const HostTensor& tensor, DType dtype) {
    const TensorView view = allocate(tensor.shape, dtype);
    std::vector<std::byte> image(buffers.back().bytes());
    forEach(view, [&](std::int64_t from, std::int64_t to) {
      encode(dtype, &tensor.data[std::size_t(from)], 1, &image[std::size_t(to * bytes(dtype))]);
    });
    buffers.back().upload(image.data());
    return view;
  }

  /// Poisoned.
  TensorView allocate(const Shape64& shape, DType dtype) {
    TensorView view = contiguous(nullptr, dtype, shape, device);
    std::int64_t tokenGap = 0;
    if (shape.size() >= 3 && placement.layout == Layout::bhtd && isToken(shape)) {
      const std::int64_t width = view.strides[2];
      view.strides[1] = width;
      view.strides[2] = width * shape[1];
    } else if (isToken(shape)) {
      tokenGap = placement.gap;
      view.strides[1] += tokenGap;
      view.strides[0] = view.strides[1] * shape[1];
    }
    std::int64_t count = countOf(shape);
    if (tokenGap)
      count = shape[0] * view.strides[0];
    buffers.emplace_back(std::size_t(std::max<std::int64_t>(1, count)) * bytes(dtype));
    buffers.back().fill(0xff);
    view.data = buffers.back().data();
    return view;
  }

  HostTensor download(const TensorView& view) const {
    HostTensor tensor{view.shape, std::vector<double>(std::size_t(countOf(view.shape)))};
    for (const Buffer& buffer : buffers) {
      if (buffer.data() != view.data)
        continue;
      std::vector<std::byte> image(buffer.bytes());
      buffer.download(image.data());
      forEach(view, [&](std::int64_t to, std::int64_t from) {
        decode(view.dtype, &image[std::size_t(from * bytes(view.dtype))], 1,
               &tensor.data[std::size_t(to)]);
      });
    }
    return tensor;
  }

  std::list<Buffer> buffers;

private:
  bool isToken(const Shape64& shape) const { return shape.size() >= 3 && tokens; }

  template <typename Visit> static void forEach(const TensorView& view, const Visit& visit) {
    for (std::int64_t i = 0; i < countOf(view.shape); ++i) {
      std::int64_t rest = i, place = 0;
      for (std::size_t axis = view.shape.size(); axis-- > 0;) {
        place += rest % view.shape[axis] * view.strides[axis];
        rest /= view.shape[axis];
      }
      visit(i, place);
    }
  }

  const Placement placement;

public:
  bool tokens = false;  ///< Whether what is made next has tokens on its second axis.
};

class Run {
public:
  Run(const BackwardCase& backward, const CompiledVariant& variant, const Signature& signature,
      const HostCall& host, const Expected& expected)
      : memory(backward.one.placement) {
    const Signature own = adjointSignature(variant.plan, variant.backward, signature);
    for (std::size_t i = 0; i < variant.backward.operands.size(); ++i) {
      const Operand& operand = variant.backward.operands[i];
      const DType dtype = own.dtypes[i];
      memory.tokens = operand.kind == Kind::input;
      if (operand.kind == Kind::state) {
        const auto initial = host.initial.find(operand.name);
        const bool isTotal = expected.count(operand.name);
        if (initial != host.initial.end() && !isTotal &&
            !backward.absent.count("initial " + operand.name))
          call.initial[operand.name] = memory.upload(initial->second, dtype);
      } else if (const auto given = host.tensors.find(operand.name);
                 given != host.tensors.end() && !backward.absent.count(operand.name)) {
        call.tensors[operand.name] = memory.upload(given->second, dtype);
      }
    }
    for (const auto& [name, tensor] : expected)
      if (!backward.absent.count(name))
        addWritten(name, tensor, variant, signature);
    const Shape64& starts = backward.one.how.cuSeqlens;
    if (!starts.empty()) {
      memory.buffers.emplace_back(starts.size() * sizeof(std::int64_t));
      memory.buffers.back().upload(starts.data());
      call.lists.cuSeqlens =
          contiguousList(memory.buffers.back().data(), 64, std::int64_t(starts.size()), device);
    }
  }

  Expected launch(const PreparedSequence& prepared, const Stream& stream) {
    const std::size_t needed = prepared.bind(call).workspaceBytes;
    Buffer workspace(std::max(needed, workspaceHead));
    workspace.fill(0xff);
    std::vector<std::byte> image(workspace.bytes(), std::byte(0xff));
    std::fill_n(image.begin(), workspaceHead, std::byte(0));
    workspace.upload(image.data());
    call.workspace = {workspace.data(), workspace.bytes(), device};
    prepared.launch(call, stream);
    stream.synchronize();
    Expected found;
    for (const auto& [name, view] : written)
      found[name] = memory.download(view);
    call.workspace = {};
    return found;
  }

private:
  void addWritten(const std::string& name, const HostTensor& tensor, const CompiledVariant& variant,
                  const Signature& signature) {
    constexpr std::string_view final = "final ";
    const bool isState = name.starts_with(final);
    DType dtype = DType::f32;
    memory.tokens = false;
    for (std::size_t i = 0; i < variant.plan.operands.size(); ++i)
      if (const Operand& operand = variant.plan.operands[i];
          operand.kind == Kind::input && "d." + operand.name == name) {
        dtype = signature.dtypes[i];
        memory.tokens = true;
      }
    const TensorView view = memory.allocate(tensor.shape, dtype);
    (isState ? call.final : call.tensors)[isState ? name.substr(final.size()) : name] = view;
    written[name] = view;
  }

  DeviceTensors memory;
  Call call;
  std::map<std::string, TensorView> written;
};

/// The bars of training: 0.008 for what is multiplied, 0.02 for gates, params and consts.
double limitOf(const CompiledVariant& variant, const Signature& signature,
               const std::string& name) {
  constexpr double vectors = 0.008, others = 0.02, single = 0.002;
  if (signature.compute == DType::f32)
    return single;
  for (const Operand& operand : variant.plan.operands)
    if ("d." + operand.name == name || "final d." + operand.name == name)
      return operand.log || operand.dims.empty() || operand.kind == Kind::param ? others : vectors;
  return others;
}

/// Whether it is the gradient of a number of each token or head, such as a decay.
bool isNumber(const CompiledVariant& variant, const std::string& name) {
  for (const Operand& operand : variant.plan.operands)
    if ("d." + operand.name == name)
      return operand.dims.empty() && operand.kind != Kind::constant;
  return false;
}

/// By scans: the gradient of a decay is a difference of sums, and of a strong decay less than fp32
/// leaves of these; others may be less than fp32 holds. They are held against no less than that.
double ratioByScans(const CompiledVariant& variant, const std::string& name,
                    const HostTensor& found, const HostTensor& expected) {
  const double least = isNumber(variant, name) ? 0.01 : 1e-33;
  double error = 0, size = 0;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    error += std::pow(found.data[i] - expected.data[i], 2);
    size += std::pow(expected.data[i], 2);
  }
  const double floor = least * least * double(expected.data.size());
  return std::isfinite(error) ? std::sqrt(error / std::max(size, floor))
                              : std::numeric_limits<double>::infinity();
}

/// The gradient of a const may cancel, as that of the scale of a normalised output does: it is held
/// against the size that a sum of so many random terms has.
double constRatio(const Signature& signature, const Shape& shape, const HostTensor& found,
                  const HostTensor& expected) {
  double terms = double(shape.batch * shape.tokens * shape.heads);
  for (const auto& [dim, size] : signature.dims)
    terms *= dim == "V" ? size : 1;
  const double error = std::abs(found.data[0] - expected.data[0]);
  return std::isfinite(error) ? error / std::max(std::abs(expected.data[0]), std::sqrt(terms))
                              : std::numeric_limits<double>::infinity();
}

std::string compare(const BackwardCase& backward, const CompiledVariant& variant,
                    const Signature& signature, const Expected& found, const Expected& expected) {
  std::ostringstream text;
  for (const auto& [name, tensor] : found) {
    const HostTensor& reference = expected.at(name);
    const double ratio = reference.shape.empty()
                             ? constRatio(signature, backward.one.shape, tensor, reference)
                         : backward.tiles.empty() ? errorRatio(tensor, reference)
                                                  : ratioByScans(variant, name, tensor, reference);
    const double limit = limitOf(variant, signature, name);
    if (!(ratio <= limit))
      text << (text.tellp() ? ", " : "") << "'" << name << "' is off by " << ratio
           << " of its RMS, at most " << limit << " is right";
  }
  return text.str();
}

/// Tokens of no sequence mean nothing.
void clearOutside(Expected& gradients, const Shape64& starts, std::int64_t tokens) {
  for (auto& [name, tensor] : gradients) {
    if (name.starts_with("final ") || tensor.shape.size() < 3 || tensor.shape[1] != tokens)
      continue;
    const std::int64_t row = countOf(tensor.shape) / std::max<std::int64_t>(1, tokens);
    for (std::int64_t t = 0; t < tokens; ++t)
      if (t < starts.front() || t >= starts.back())
        std::fill_n(tensor.data.begin() + t * row, row, 0.0);
  }
}

}  // namespace

Tile backwardTileOf(const BackwardCase& backward) {
  if (backward.one.tile)
    return *backward.one.tile;
  const CompiledVariant& variant = variantNamed(backward.one.variant);
  const Signature own = adjointSignature(variant.plan, variant.backward, signatureOf(backward.one));
  return candidates(variant.backward, Family::sequential, own, deviceInfo(device).limits,
                    backward.one.shape.batch * backward.one.shape.heads)
      .tiles.front();
}

std::unique_ptr<PreparedSequence> prepareBackward(const BackwardCase& backward) {
  const CompiledVariant& variant = variantNamed(backward.one.variant);
  const Signature signature = signatureOf(backward.one);
  if (backward.tiles.empty())
    return std::make_unique<PreparedSequence>(
        kernels(),
        emitSequentialBackward(variant.plan, variant.backward, signature, backwardTileOf(backward)),
        device);
  const BackwardPass pass(variant, signature, deviceInfo(device).limits);
  if (pass.family() != Family::scan)
    throw std::runtime_error("its backward pass is sequential: " + pass.noScans());
  std::vector<Tile> tiles;
  for (std::size_t i = 0; i + 1 < pass.kernels().size(); ++i)
    tiles.push_back(backward.tiles[i % backward.tiles.size()]);
  tiles.push_back(backwardTileOf(backward));
  return std::make_unique<PreparedSequence>(kernels(), pass.emit(tiles), device);
}

std::string failureOfBackward(const BackwardCase& backward) {
  const std::string what =
      "backward of " + backward.one.variant + " " + name(backward.one.dtype) + ": ";
  try {
    const CompiledVariant& variant = variantNamed(backward.one.variant);
    const Signature signature = signatureOf(backward.one);
    const Signature own = adjointSignature(variant.plan, variant.backward, signature);
    const HostCall host = draw(variant.backward, own, backward.one.shape, backward.one.how);
    Expected expected = gradientsOf(backward, variant, signature, host);
    const std::unique_ptr<PreparedSequence> prepared = prepareBackward(backward);
    Run run(backward, variant, signature, host, expected);
    const Stream stream;
    Expected first = run.launch(*prepared, stream);
    const Shape64& starts = backward.one.how.cuSeqlens;
    for (Expected* gradients : {&first, &expected})
      if (!starts.empty())
        clearOutside(*gradients, starts, backward.one.shape.tokens);
    if (const std::string wrong = compare(backward, variant, signature, first, expected);
        !wrong.empty())
      return what + wrong;
    for (int i = 1; i < backward.runs; ++i) {
      Expected next = run.launch(*prepared, stream);
      if (!starts.empty())
        clearOutside(next, starts, backward.one.shape.tokens);
      if (!identical({first, {}}, {next, {}}))
        return what + "two runs differ";
    }
    return "";
  } catch (const std::exception& error) {
    return what + error.what();
  }
}

void expectRight(const std::vector<BackwardCase>& cases) {
  expectNoFailure(cases.size(), [&](std::size_t i) { return failureOfBackward(cases[i]); });
}

}  // namespace lathe::test
