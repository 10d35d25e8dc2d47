// The sizes that follow from others, and what is wrong with those that do not fit.
#include "compiler/plan/Dims.h"

#include <gtest/gtest.h>
#include <stdexcept>

namespace lathe {
namespace {

using Sizes = std::map<std::string, int>;

const DimRules rules{{{"F", "taylor2", "K"}}, {"K"}};

std::string errorOf(const Sizes& sizes) {
  try {
    completeDims("v", rules, sizes);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(Dims, DerivedOnesFollow) {
  EXPECT_EQ(completeDims("v", rules, {{"K", 4}, {"V", 3}}), (Sizes{{"F", 21}, {"K", 4}, {"V", 3}}));
  EXPECT_EQ(completeDims("v", rules, {{"K", 4}, {"F", 21}}), (Sizes{{"F", 21}, {"K", 4}}));
  EXPECT_EQ(completeDims("v", rules, {{"V", 3}}), (Sizes{{"V", 3}}));
  EXPECT_EQ(completeDims("v", {}, {{"V", 3}}), (Sizes{{"V", 3}}));
}

TEST(Dims, SayWhatDoesNotFit) {
  EXPECT_EQ(errorOf({{"K", 4}, {"F", 20}}),
            "variant v: the dimension F has the size 20; it is taylor2(K) of K = 4, so it must be "
            "21, or left out");
  EXPECT_EQ(errorOf({{"K", 3}}), "variant v: the dimension K has the size 3; rope turns pairs of "
                                 "elements, so it must be even");
  EXPECT_EQ(errorOf({{"K", 65536}}),
            "variant v: the dimension F has the size 4295032833; it is taylor2(K) of K = 65536, "
            "and must fit into 31 bits");
}

}  // namespace
}  // namespace lathe
