#include "tools/liblathe/CudaChoice.h"

#include "tools/liblathe/Kernel.h"

namespace lathe::abi {

Choice chooseTile(const Problem& problem, const Oracle& oracle, const DeviceInfo& gpu,
                  lathe_tuning tuning) {
  if (tuning == LATHE_TUNING_OFF)
    return chooseByModel(problem, gpu);
  Database database;
  if (tuning == LATHE_TUNING_TUNE) {
    const std::lock_guard lock(measuring());
    const Choice known = choose(problem, gpu, database);
    if (known.origin == ChoiceOrigin::tuned)
      return known;
    return {tune(problem, gpu.ordinal, oracle, database, {}).winner, ChoiceOrigin::tuned};
  }
  return choose(problem, gpu, database);
}

}  // namespace lathe::abi
