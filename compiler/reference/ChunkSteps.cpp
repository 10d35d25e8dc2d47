// The operations of the chunk form, token by token within the chunk.
#include "compiler/reference/Rows.h"
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

}  // namespace

Step cumulateStep(const Slot& out, const Slot& operand, bool exclusive, bool after,
                  const Sizes& sizes) {
  const long tokens = tokensOf(sizes), width = widthOf(out, sizes);
  return [=] {
    const bool skipsOwn = exclusive || after;
    for (long n = 0; n < tokens; ++n) {
      const long i = after ? tokens - 1 - n : n;
      const long before = after ? i + 1 : i - 1;
      const double* own = operand.data + (skipsOwn ? before : i) * width;
      for (long d = 0; d < width; ++d)
        out.data[i * width + d] =
            n == 0 ? (skipsOwn ? 0.0 : own[d]) : out.data[before * width + d] + own[d];
    }
  };
}

Step lastStep(const Slot& out, const Slot& operand, const Sizes& sizes) {
  const long tokens = tokensOf(sizes), width = widthOf(operand, sizes);
  return [=] { std::copy_n(operand.data + (tokens - 1) * width, width, out.data); };
}

/// Walks each token j down the chunk and lets what it wrote decay on its way, so that no sum of
/// log-decays loses digits: between j and i stands the product of the decays themselves.
Step scoresStep(const Slot& out, const Slot& x, const Slot& y, const Slot* decay,
                const std::string& dim, bool strict, const Sizes& sizes) {
  const long tokens = tokensOf(sizes), size = sizes.at(dim);
  const long widthX = widthOf(x, sizes), widthY = widthOf(y, sizes);
  const long widthDecay = decay ? widthOf(*decay, sizes) : 0;
  const double* logDecay = decay ? decay->data : nullptr;
  return [=, written = std::vector<double>(size),
          factors = std::vector<double>(tokens * widthDecay)]() mutable {
    for (std::size_t i = 0; i < factors.size(); ++i)
      factors[i] = std::exp(logDecay[i]);
    std::fill_n(out.data, tokens * tokens, 0.0);
    for (long j = 0; j < tokens; ++j) {
      double scale = 1;  // A scalar decay leaves the vector as it is.
      for (long d = 0; d < size; ++d)
        written[d] = y.data[j * widthY + (widthY > 1 ? d : 0)];
      const long first = strict ? j + 1 : j;
      for (long i = first; i < tokens; ++i) {
        if (i > first && widthDecay == 1)
          scale *= factors[strict ? i - 1 : i];
        else if (i > first && widthDecay > 1)
          for (long d = 0; d < size; ++d)
            written[d] *= factors[(strict ? i - 1 : i) * size + d];
        double sums[4] = {};
        const double* row = x.data + i * widthX;
        long d = 0;
        if (widthX > 1)
          for (; d + 4 <= size; d += 4)
            for (int chain = 0; chain < 4; ++chain)
              sums[chain] += row[d + chain] * written[d + chain];
        for (; d < size; ++d)
          sums[0] += row[widthX > 1 ? d : 0] * written[d];
        out.data[i * tokens + j] = scale * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
      }
    }
  };
}

Step applyStep(const Slot& out, const Slot& scores, const Slot& values, const Sizes& sizes) {
  const long tokens = tokensOf(sizes), width = widthOf(values, sizes);
  return [=] {
    std::fill_n(out.data, tokens * width, 0.0);
    for (long i = 0; i < tokens; ++i)
      addScaledRows(out.data + i * width, width, {scores.data + i * tokens, 1, false},
                    {values.data, width, true}, i + 1);
  };
}

Step solveStep(std::span<const Slot> results, std::span<const Slot> operands, const Sizes& sizes) {
  const long tokens = tokensOf(sizes), width = widthOf(results[0], sizes);
  const std::size_t count = results.size();
  return [=, solved = std::vector<Slot>(results.begin(), results.end()),
          given = std::vector<Slot>(operands.begin(), operands.end())] {
    for (long i = 0; i < tokens; ++i)
      for (std::size_t r = 0; r < count; ++r) {
        double* row = solved[r].data + i * width;
        std::copy_n(given[r].data + i * width, width, row);
        for (std::size_t s = 0; s < count; ++s)
          addScaledRows(row, width, {given[count + r * count + s].data + i * tokens, 1, false},
                        {solved[s].data, width, true}, i);
      }
  };
}

}  // namespace lathe::reference
