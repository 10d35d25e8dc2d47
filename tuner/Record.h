// How a tuning result is named and written down.
#pragma once

#include "tuner/Tuner.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace lathe {

/// A shape counts by the powers of two that its tokens and its batch times heads lie between.
struct Bucket {
  int tokens = 0, batchHeads = 0;

  auto operator<=>(const Bucket&) const = default;
};

Bucket bucketOf(const Shape& shape);

/// Powers of two between two buckets.
int distance(const Bucket& a, const Bucket& b);

/// Of everything but the shape: the meaning of the plan (its JSON without lines and remarks),
/// family, dtypes, dims. 64 hexadecimal digits.
std::string problemKey(const Problem& problem);

/// "nvidia-h200-132": one file a GPU model.
std::string gpuKey(const DeviceInfo& gpu);

/// A winner, with what a reader wants to know of it.
nlohmann::json recordOf(const Problem& problem, const DeviceInfo& gpu, const Trial& winner);

/// Throws nlohmann::json::exception, std::invalid_argument where the JSON is none.
void to_json(nlohmann::json& json, const Bucket& bucket);
void from_json(const nlohmann::json& json, Bucket& bucket);
void to_json(nlohmann::json& json, const Tile& tile);
void from_json(const nlohmann::json& json, Tile& tile);
void to_json(nlohmann::json& json, const Trial& trial);
void from_json(const nlohmann::json& json, Trial& trial);

}  // namespace lathe
