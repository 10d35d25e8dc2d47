// Sizes and dtypes as users write them: "K=128,V=64" and "bf16,g=f32".
#pragma once

#include "compiler/cuda/Kernel.h"

#include <string_view>

namespace lathe {

/// The words of a list that commas or spaces divide.
std::vector<std::string> splitList(const std::string& text);

/// A whole number of at least 1; 0 where the text is none.
std::int64_t parseCount(std::string_view text);

/// The sizes that the text names, added to `sizes`, and those that follow from them. Throws
/// std::invalid_argument for what is no size and what is no dimension of the plan, and where sizes
/// contradict its rules.
std::map<std::string, int> parseSizes(const std::string& text, const Plan& plan,
                                      std::map<std::string, int> sizes = {});

/// Throws std::invalid_argument.
DType parseDType(const std::string& text);

/// The dtype of inputs and outputs, `usual` where the text names none, and exceptions by name.
/// Params and states are f32 unless named. Throws std::invalid_argument for what is no dtype and
/// what is no operand of the plan. The result has no sizes.
Signature parseDTypes(const std::string& text, const Plan& plan, DType usual);

/// "a, b"
std::string joinWords(const std::vector<std::string>& words);

}  // namespace lathe
