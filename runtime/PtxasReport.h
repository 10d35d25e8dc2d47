// What a kernel uses, read from the report that ptxas -v leaves in the compilation log: known
// without a GPU.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace lathe {

/// Of one thread (registers, bytes of local memory) and of one block (shared memory, barriers).
struct Resources {
  int registers = 0;
  int spillStoreBytes = 0, spillLoadBytes = 0;
  int stackBytes = 0;
  int sharedBytes = 0;  ///< Static; what is dynamic belongs to the launch.
  int constantBytes = 0;
  int barriers = 0;

  bool operator==(const Resources&) const = default;
};

/// The report on the kernel `entry`. All zero where the log has none.
Resources parsePtxasReport(std::string_view log, std::string_view entry);

void to_json(nlohmann::json& json, const Resources& resources);
void from_json(const nlohmann::json& json, Resources& resources);

}  // namespace lathe
