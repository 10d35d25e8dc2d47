// The nearest name to one that does not exist.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace lathe::spec {

/// The number of letters to insert, delete, replace or swap with their neighbour that turns one
/// word into the other (optimal string alignment distance).
int editDistance(std::string_view from, std::string_view to);

/// The candidate that `name` was probably meant to be: at most one edit in three letters away; a
/// name of one or two letters only in the other case. Of equally near ones, the first.
std::optional<std::string_view> closestName(std::string_view name,
                                            const std::vector<std::string_view>& candidates);

}  // namespace lathe::spec
