#include "compiler/plan/Dims.h"

#include <limits>
#include <stdexcept>

namespace lathe {

long long derivedSize(const std::string& function, long long size) {
  if (function == "taylor2")
    return 1 + size + size * size;
  throw std::invalid_argument("a dimension is derived by '" + function +
                              "'; the functions that derive one are: taylor2");
}

std::map<std::string, int> completeDims(const std::string& variant, const DimRules& rules,
                                        std::map<std::string, int> sizes) {
  const auto fail = [&](const std::string& dim, long long size, const std::string& rule) {
    throw std::invalid_argument("variant " + variant + ": the dimension " + dim + " has the size " +
                                std::to_string(size) + "; " + rule);
  };
  for (const DerivedDim& derived : rules.derived) {
    const auto from = sizes.find(derived.from);
    if (from == sizes.end())
      continue;
    const long long size = derivedSize(derived.function, from->second);
    const std::string formula = derived.function + "(" + derived.from + ") of " + derived.from +
                                " = " + std::to_string(from->second);
    if (size > std::numeric_limits<int>::max())
      fail(derived.dim, size, "it is " + formula + ", and must fit into 31 bits");
    const auto [given, isNew] = sizes.try_emplace(derived.dim, static_cast<int>(size));
    if (!isNew && given->second != size)
      fail(derived.dim, given->second,
           "it is " + formula + ", so it must be " + std::to_string(size) + ", or left out");
  }
  for (const std::string& dim : rules.even)
    if (const auto size = sizes.find(dim); size != sizes.end() && size->second % 2 != 0)
      fail(dim, size->second, "rope turns pairs of elements, so it must be even");
  return sizes;
}

}  // namespace lathe
