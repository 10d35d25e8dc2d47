#include "cache/Log.h"
#include "tuner/Tuner.h"

#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace lathe {

/// LATHE_TUNING=off: as if nothing had been tuned.
static bool tuningIsOff() {
  const char* value = std::getenv("LATHE_TUNING");
  std::string_view text = value ? value : "";
  if (!text.empty() && text != "on" && text != "off")
    logOnce(LogLevel::warn, "LATHE_TUNING=" + std::string(text),
            "LATHE_TUNING is '" + std::string(text) + "', which is none of on, off; using on");
  return text == "off";
}

/// Whether the kernel that a record speaks of is the one that would be written today.
static bool isCurrent(const Problem& problem, const Trial& record) {
  try {
    KernelSource kernel = emit(*problem.plan, problem.family, problem.signature, record.tile);
    return sourceDigest(kernel) == record.source;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

const char* name(ChoiceOrigin origin) {
  return origin == ChoiceOrigin::tuned    ? "tuned"
         : origin == ChoiceOrigin::nearby ? "nearby"
                                          : "model";
}

Choice choose(const Problem& problem, const DeviceInfo& gpu, const Database& database) {
  for (bool exact : {true, false}) {
    if (tuningIsOff())
      break;
    std::optional<Trial> record = database.find(problem, gpu, exact);
    if (!record)
      continue;
    if (isCurrent(problem, *record))
      return {record->tile, exact ? ChoiceOrigin::tuned : ChoiceOrigin::nearby};
    logOnce(LogLevel::info, "stale " + problem.plan->variant + toString(record->tile),
            "the kernels of '" + problem.plan->variant + "' have changed since tile " +
                toString(record->tile) +
                " was tuned; using the model's until they are tuned again");
  }
  return chooseByModel(problem, gpu);
}

Choice chooseByModel(const Problem& problem, const DeviceInfo& gpu) {
  Candidates all = candidates(*problem.plan, problem.family, problem.signature, gpu.limits,
                              problem.shape.batch * problem.shape.heads);
  return {all.tiles.front(), ChoiceOrigin::model};
}

}  // namespace lathe
