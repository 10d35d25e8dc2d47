#include "tuner/Workload.h"

#include "tuner/Numbers.h"
#include "tuner/Parallel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>

namespace lathe {

namespace {

constexpr std::int64_t grain = 1 << 15;

/// Random numbers by their index, so that any thread can make any of them: the finaliser of
/// SplitMix64 (Steele, Lea and Flood 2014).
class Random {
public:
  Random(std::uint64_t seed, std::uint64_t stream) : key(mix(mix(seed) + stream)) {}

  std::uint64_t bits(std::uint64_t i) const { return mix(key + i * 0x9e3779b97f4a7c15u); }
  /// In [0, 1).
  double uniform(std::uint64_t i) const { return double(bits(i) >> 11) * 0x1p-53; }
  /// Two of normal(0, 1), by Box and Muller.
  void normals(std::uint64_t pair, double out[2]) const {
    double radius = std::sqrt(-2 * std::log(1 - uniform(2 * pair)));
    double angle = 2 * std::numbers::pi * uniform(2 * pair + 1);
    out[0] = radius * std::cos(angle);
    out[1] = radius * std::sin(angle);
  }

private:
  static std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }

  std::uint64_t key;
};

std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (std::int64_t size : shape)
    count *= size;
  return count;
}

/// Fills `data` with `finish` of normal numbers.
template <typename Finish>
void fillNormal(std::vector<double>& data, const Random& random, const Finish& finish) {
  const auto count = std::int64_t(data.size());
  parallelFor((count + 1) / 2, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t pair = begin; pair < end; ++pair) {
      double two[2];
      random.normals(pair, two);
      for (std::int64_t i = 2 * pair; i < std::min(2 * pair + 2, count); ++i)
        data[i] = finish(two[i % 2]);
    }
  });
}

double logSigmoid(double x) { return std::fmin(x, 0.0) - std::log1p(std::exp(-std::fabs(x))); }

class Drawing {
public:
  Drawing(const Plan& plan, const Signature& signature, const Shape& shape, const Draw& how,
          std::int64_t stateRows)
      : plan(plan), signature(signature), shape(shape), how(how), rows(stateRows) {}

  HostTensor input(int index) const {
    const Operand& operand = plan.operands[index];
    auto own = how.heads.find(operand.name);
    std::int64_t heads = own == how.heads.end() ? shape.heads : own->second;
    HostTensor tensor = make(operand, {shape.batch, shape.tokens, heads});
    DType dtype = signature.dtypes.at(index);
    Random random = randomOf(index);
    if (operand.log)
      fillNormal(tensor.data, random,
                 [&](double x) { return roundTo(dtype, how.gateScale * logSigmoid(x)); });
    else
      fillNormal(tensor.data, random, [&](double x) { return roundTo(dtype, x); });
    if (how.resets > 0 && operand.log)
      for (std::size_t i = 0; i < tensor.data.size(); ++i)
        if (random.uniform(~i) < how.resets)
          tensor.data[i] = -70;
    if (how.repeatedKeys && !operand.dims.empty() && !operand.log)
      repeat(tensor, width(operand), random);
    return tensor;
  }

  HostTensor param(int index) const {
    const Operand& operand = plan.operands[index];
    HostTensor tensor = make(operand, {shape.heads});
    Random random = randomOf(index);
    std::int64_t perHead = std::max<std::int64_t>(1, width(operand));
    for (std::int64_t i = 0; i < std::int64_t(tensor.data.size()); ++i) {
      const std::int64_t head = i / perHead;
      double number = operand.log ? how.gateScale * std::log1p(-std::exp2(-5.0 - double(head)))
                                  : random.uniform(i) + std::log(how.gateScale);
      tensor.data[i] = roundTo(signature.dtypes.at(index), number);
    }
    return tensor;
  }

  HostTensor state(int index) const {
    HostTensor tensor = make(plan.operands[index], {rows, shape.heads});
    DType dtype = signature.dtypes.at(index);
    bool positive =
        plan.scan && (plan.scan->normaliser == index || plan.scan->oppositeNormaliser == index);
    fillNormal(tensor.data, randomOf(index),
               [&](double x) { return roundTo(dtype, positive ? std::fabs(x) : x); });
    return tensor;
  }

private:
  Random randomOf(int index) const { return Random(how.seed, std::uint64_t(index)); }

  std::int64_t width(const Operand& operand) const {
    std::int64_t count = 1;
    for (const std::string& dim : operand.dims)
      count *= signature.dims.at(dim);
    return count;
  }

  HostTensor make(const Operand& operand, std::vector<std::int64_t> leading) const {
    HostTensor tensor{std::move(leading), {}};
    for (const std::string& dim : operand.dims)
      tensor.shape.push_back(signature.dims.at(dim));
    tensor.data.resize(product(tensor.shape));
    return tensor;
  }

  /// Every row becomes one of the first four.
  static void repeat(HostTensor& tensor, std::int64_t width, const Random& random) {
    std::int64_t rows = std::int64_t(tensor.data.size()) / width;
    const std::vector<double> originals(
        tensor.data.begin(), tensor.data.begin() + std::min<std::int64_t>(rows, 4) * width);
    for (std::int64_t row = 4; row < rows; ++row)
      std::copy_n(originals.begin() + std::int64_t(random.bits(~row) % 4) * width, width,
                  tensor.data.begin() + row * width);
  }

  const Plan& plan;
  const Signature& signature;
  const Shape& shape;
  const Draw& how;
  std::int64_t rows;
};

}  // namespace

static bool isOverKeys(const Plan& plan, const Operand& operand) {
  return plan.scan && operand.kind == Operand::Kind::input &&
         operand.dims == std::vector<std::string>{plan.scan->keyDim};
}

bool pairsHeads(const Plan& plan, const std::map<std::string, int>& fewer, std::int64_t heads) {
  bool paired = bool(plan.scan);
  for (const Operand& operand : plan.operands)
    if (isOverKeys(plan, operand)) {
      auto own = fewer.find(operand.name);
      paired &= own != fewer.end() && own->second > 0 && heads / own->second % 2 == 0;
    }
  return paired;
}

std::map<std::string, int> pairedHeads(const Plan& plan, const Signature& signature,
                                       std::int64_t heads) {
  std::map<std::string, int> fewer;
  for (const Operand& operand : plan.operands)
    if (signature.pairedHeads && isOverKeys(plan, operand))
      fewer[operand.name] = int(heads / 2);
  return fewer;
}

std::int64_t HostCall::sequences(const Shape& shape) const {
  return cuSeqlens.empty() ? shape.batch : std::int64_t(cuSeqlens.size()) - 1;
}

std::int64_t HostCall::stateRows(const Shape& shape) const {
  if (slots.empty())
    return sequences(shape);
  if (!initial.empty())
    return initial.begin()->second.shape[0];
  return 1 + std::max<std::int64_t>(-1, *std::max_element(slots.begin(), slots.end()));
}

HostCall draw(const Plan& plan, const Signature& signature, const Shape& shape, const Draw& how) {
  HostCall call;
  call.cuSeqlens = how.cuSeqlens;
  call.slots = how.slots;
  Drawing drawing(plan, signature, shape, how, std::max(how.pool, call.stateRows(shape)));
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& operand = plan.operands[i];
    if (operand.kind == Operand::Kind::input)
      call.tensors[operand.name] = drawing.input(i);
    else if (operand.kind == Operand::Kind::param)
      call.tensors[operand.name] = drawing.param(i);
    else if (operand.kind == Operand::Kind::state && how.initialStates)
      call.initial[operand.name] = drawing.state(i);
  }
  return call;
}

double errorRatio(const HostTensor& found, const HostTensor& expected) {
  if (found.shape != expected.shape || found.data.size() != expected.data.size())
    throw std::invalid_argument("errorRatio compares tensors of one shape");
  const auto count = std::int64_t(expected.data.size());
  const std::int64_t blocks = (count + grain - 1) / grain;
  struct Sums {
    double difference = 0, reference = 0;
  };
  std::vector<Sums> sums(blocks);
  parallelFor(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block)
      for (std::int64_t i = block * grain; i < std::min(count, (block + 1) * grain); ++i) {
        double difference = found.data[i] - expected.data[i];
        sums[block].difference += difference * difference;
        sums[block].reference += expected.data[i] * expected.data[i];
      }
  });
  Sums total;
  for (const Sums& part : sums) {
    total.difference += part.difference;
    total.reference += part.reference;
  }
  if (total.difference == 0)
    return 0;
  double ratio = std::sqrt(total.difference / total.reference);
  return std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
}

}  // namespace lathe
