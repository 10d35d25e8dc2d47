// The operations of the chunk form, token by token within the chunk.
#include "compiler/plan/Evaluate.h"
#include "compiler/reference/Steps.h"

#include <algorithm>
#include <cmath>

namespace lathe::reference {

namespace {

long tokensOf(const Sizes& sizes) { return sizes.at("token"); }

/// Elements of one token of a value whose first dimension is the token.
long widthOf(const Slot& slot, const Sizes& sizes) {
  return countOf(slot.dims, sizes) / tokensOf(sizes);
}

/// The n-th token on the way through the chunk.
struct Way {
  long tokens;
  bool reverse;

  long at(long n) const { return reverse ? tokens - 1 - n : n; }
};

/// The decay on the way from the token that wrote to the one that reads: the product of the decays
/// themselves, so that no sum of log-decays loses digits. Each is one number, or one for every
/// element of a row.
class Fading {
public:
  Fading(const Slot* decay, Order order, const Sizes& sizes)
      : logs(decay ? decay->data : nullptr), width(decay ? widthOf(*decay, sizes) : 0),
        strict(order.before), way{tokensOf(sizes), order.reverse}, factors(width * tokensOf(sizes)),
        product(std::max(width, 1L)) {}

  void load() {
    for (std::size_t i = 0; i < factors.size(); ++i)
      factors[i] = std::exp(logs[i]);
  }

  /// At the first reader of a token.
  void start() { std::fill(product.begin(), product.end(), 1.0); }

  /// To the reader `n`, from the one before it on the way.
  void advanceTo(long n) {
    const double* row = factors.data() + way.at(strict ? n - 1 : n) * width;
    for (long d = 0; d < width; ++d)
      product[d] *= row[d];
  }

  /// One number for all elements of a row.
  bool isScalar() const { return width <= 1; }
  /// That number, or 1 where every element has its own.
  double scale() const { return isScalar() ? product[0] : 1; }
  const double* row() const { return product.data(); }

private:
  const double* logs;
  long width;
  bool strict;
  Way way;
  std::vector<double> factors, product;
};

/// Calls visit(reader, writer) for every pair of tokens of which one reads what the other
/// wrote.
template <typename Visit> void forEachPair(Fading& fading, Way way, bool strict, Visit visit) {
  for (long j = 0; j < way.tokens; ++j) {
    fading.start();
    const long first = strict ? j + 1 : j;
    for (long i = first; i < way.tokens; ++i) {
      if (i > first)
        fading.advanceTo(i);
      visit(way.at(i), way.at(j));
    }
  }
}

/// sum over d of x_d y_d fading_d; an operand that does not move has one element.
double fadedDot(const double* x, bool movesX, const double* y, bool movesY, const Fading& fading,
                long size) {
  double sums[4] = {};
  const auto add = [&](auto factor) {
    long d = 0;
    if (movesX && movesY)
      for (; d + 4 <= size; d += 4)
        for (int chain = 0; chain < 4; ++chain)
          sums[chain] += x[d + chain] * y[d + chain] * factor(d + chain);
    for (; d < size; ++d)
      sums[0] += x[movesX ? d : 0] * y[movesY ? d : 0] * factor(d);
  };
  if (fading.isScalar())
    add([](long) { return 1.0; });
  else
    add([row = fading.row()](long d) { return row[d]; });
  return fading.scale() * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// sum += score * row * fading, element by element.
void addFaded(double* __restrict sum, double score, const double* row, const Fading& fading,
              long width) {
  const double scale = score * fading.scale();
  if (fading.isScalar()) {
    for (long d = 0; d < width; ++d)
      sum[d] += scale * row[d];
    return;
  }
  const double* factors = fading.row();
  for (long d = 0; d < width; ++d)
    sum[d] += scale * row[d] * factors[d];
}

}  // namespace

Step cumulateStep(const Slot& out, const Slot& operand, Order order, const Sizes& sizes) {
  const long width = widthOf(out, sizes);
  const Way way{tokensOf(sizes), order.reverse};
  return [=] {
    for (long n = 0; n < way.tokens; ++n) {
      const double* before = n > 0 ? out.data + way.at(n - 1) * width : nullptr;
      const long from = order.before ? n - 1 : n;
      const double* own = from >= 0 ? operand.data + way.at(from) * width : nullptr;
      double* sum = out.data + way.at(n) * width;
      for (long d = 0; d < width; ++d)
        sum[d] = (before ? before[d] : 0) + (own ? own[d] : 0);
    }
  };
}

Step runningMaxStep(const Slot& out, const Slot& state, const Slot& decay, const Slot& input,
                    Order order, const Sizes& sizes) {
  if (out.dims.empty() || out.dims[0] != "token")
    return [=, nest = Nest<4>(out.dims, {out.dims, state.dims, decay.dims, input.dims}, sizes)] {
      nest.forEach([&](const std::array<long, 4>& at) {
        for (long i = 0; i < nest.inner.size; ++i) {
          const auto& along = nest.inner.strides;
          const double old = state.data[at[1] + i * along[1]];
          out.data[at[0] + i] = order.before
                                    ? old
                                    : evaluate<Op::maximum>(old + decay.data[at[2] + i * along[2]],
                                                            input.data[at[3] + i * along[3]]);
        }
      });
    };
  const long width = widthOf(out, sizes), widthState = countOf(state.dims, sizes);
  const long widthDecay = widthOf(decay, sizes), widthInput = widthOf(input, sizes);
  const Way way{tokensOf(sizes), order.reverse};
  return [=, running = std::vector<double>(width)]() mutable {
    for (long d = 0; d < width; ++d)
      running[d] = state.data[widthState > 1 ? d : 0];
    for (long n = 0; n < way.tokens; ++n) {
      double* row = out.data + way.at(n) * width;
      if (order.before)
        std::copy_n(running.data(), width, row);
      for (long d = 0; d < width; ++d)
        running[d] = evaluate<Op::maximum>(
            running[d] + decay.data[way.at(n) * widthDecay + (widthDecay > 1 ? d : 0)],
            input.data[way.at(n) * widthInput + (widthInput > 1 ? d : 0)]);
      if (!order.before)
        std::copy_n(running.data(), width, row);
    }
  };
}

Step scoresStep(const Slot& out, const Slot& x, const Slot& y, const Slot* decay,
                const std::string& dim, Order order, const Sizes& sizes) {
  const Way way{tokensOf(sizes), order.reverse};
  const long size = dim.empty() ? 1 : sizes.at(dim), widthX = widthOf(x, sizes),
             widthY = widthOf(y, sizes);
  return [=, fading = Fading(decay, order, sizes)]() mutable {
    fading.load();
    std::fill_n(out.data, way.tokens * way.tokens, 0.0);
    forEachPair(fading, way, order.before, [&](long i, long j) {
      out.data[i * way.tokens + j] =
          fadedDot(x.data + i * widthX, widthX > 1, y.data + j * widthY, widthY > 1, fading, size);
    });
  };
}

Step applyStep(const Slot& out, const Slot& scores, const Slot& values, const Slot* decay,
               Order order, const Sizes& sizes) {
  const Way way{tokensOf(sizes), order.reverse};
  const long width = widthOf(values, sizes);
  return [=, fading = Fading(decay, order, sizes)]() mutable {
    fading.load();
    std::fill_n(out.data, way.tokens * width, 0.0);
    forEachPair(fading, way, order.before, [&](long i, long j) {
      const long to = order.transposed ? j : i, from = order.transposed ? i : j;
      addFaded(out.data + to * width, scores.data[i * way.tokens + j], values.data + from * width,
               fading, width);
    });
  };
}

Step solveStep(std::span<const Slot> results, std::span<const Slot> rights,
               std::span<const Slot> blocks, const Slot* decay, Order order, const Sizes& sizes) {
  const long width = widthOf(results[0], sizes);
  const std::size_t count = results.size();
  order.before = true;
  const Way way{tokensOf(sizes), order.reverse};
  return [=, solved = std::vector<Slot>(results.begin(), results.end()),
          given = std::vector<Slot>(rights.begin(), rights.end()),
          scores = std::vector<Slot>(blocks.begin(), blocks.end()),
          fading = Fading(decay, order, sizes)]() mutable {
    fading.load();
    const auto add = [&](long i, long j) {
      for (std::size_t r = 0; r < count; ++r)
        for (std::size_t s = 0; s < count; ++s) {
          double* reader = solved[r].data + i * width;
          double* writer = solved[s].data + j * width;
          addFaded(order.transposed ? writer : reader,
                   scores[r * count + s].data[i * way.tokens + j],
                   order.transposed ? reader : writer, fading, width);
        }
    };
    for (std::size_t r = 0; r < count; ++r)
      std::copy_n(given[r].data, way.tokens * width, solved[r].data);
    if (!order.transposed) {
      forEachPair(fading, way, true, add);
      return;
    }
    for (long j = way.tokens - 1; j >= 0; --j) {
      fading.start();
      for (long i = j + 1; i < way.tokens; ++i) {
        if (i > j + 1)
          fading.advanceTo(i);
        add(way.at(i), way.at(j));
      }
    }
  };
}

}  // namespace lathe::reference
