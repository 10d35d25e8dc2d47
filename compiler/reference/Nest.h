// Loops over named dimensions: how far each operand moves along each of them.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

namespace lathe::reference {

using Sizes = std::map<std::string, long>;
using Names = std::vector<std::string>;

/// The number of elements of a value.
inline long countOf(const Names& dims, const Sizes& sizes) {
  long count = 1;
  for (const std::string& dim : dims)
    count *= sizes.at(dim);
  return count;
}

/// The step of a dense value along `dim`: 0 where it lacks the dimension.
inline long strideOf(const Names& dims, const std::string& dim, const Sizes& sizes) {
  long stride = 1;
  for (auto it = dims.rbegin(); it != dims.rend(); ++it) {
    if (*it == dim)
      return stride;
    stride *= sizes.at(*it);
  }
  return 0;
}

/// A nest of loops with N operands. Loops that every operand walks as one are one.
template <int N> struct Nest {
  struct Loop {
    long size;
    std::array<long, N> strides;
  };
  std::vector<Loop> outer;
  Loop inner{1, {}};

  Nest(const Names& loops, const std::array<Names, N>& operands, const Sizes& sizes) {
    std::vector<Loop> all;
    for (const std::string& dim : loops) {
      Loop loop{sizes.at(dim), {}};
      for (int i = 0; i < N; ++i)
        loop.strides[i] = strideOf(operands[i], dim, sizes);
      if (loop.size == 1)
        continue;
      if (!all.empty() && joins(all.back(), loop)) {
        loop.size *= all.back().size;
        all.back() = loop;
      } else {
        all.push_back(loop);
      }
    }
    if (all.empty())
      return;
    inner = all.back();
    all.pop_back();
    outer = std::move(all);
  }

  /// Calls body(offsets) for every iteration of the outer loops.
  template <typename Body> void forEach(Body&& body) const {
    descend(0, std::array<long, N>{}, body);
  }

private:
  static bool joins(const Loop& before, const Loop& loop) {
    for (int i = 0; i < N; ++i)
      if (before.strides[i] != loop.strides[i] * loop.size)
        return false;
    return true;
  }

  template <typename Body>
  void descend(std::size_t depth, std::array<long, N> offsets, Body& body) const {
    if (depth == outer.size()) {
      body(offsets);
      return;
    }
    for (long i = 0; i < outer[depth].size; ++i) {
      descend(depth + 1, offsets, body);
      for (int operand = 0; operand < N; ++operand)
        offsets[operand] += outer[depth].strides[operand];
    }
  }
};

}  // namespace lathe::reference
