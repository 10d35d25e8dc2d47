#include "runtime/PtxasReport.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace lathe {

namespace {

bool contains(std::string_view line, std::string_view part) {
  return line.find(part) != std::string_view::npos;
}

/// The number right before `unit`, e.g. 16 in "16 bytes spill stores"; 0 where it is not there.
int numberBefore(std::string_view line, std::string_view unit) {
  std::size_t end = line.find(unit);
  if (end == std::string_view::npos)
    return 0;
  std::size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9')
    --begin;
  int number = 0;
  std::from_chars(line.data() + begin, line.data() + end, number);
  return number;
}

}  // namespace

Resources parsePtxasReport(std::string_view log, std::string_view entry) {
  // ptxas info : Compiling entry function 'k' for 'sm_90a'
  // ptxas info : Function properties for k
  //     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
  // ptxas info : Used 8 registers, used 1 barriers, 4096 bytes smem, 400 bytes cmem[0]
  Resources resources;
  std::string quoted = "'" + std::string(entry) + "'";
  bool ours = false, properties = false;
  while (!log.empty()) {
    std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(line.size() + 1, log.size()));
    if (contains(line, "Compiling entry function"))
      ours = contains(line, quoted);
    if (contains(line, "Function properties for ")) {
      std::string_view name = line.substr(line.find("properties for ") + 15);
      properties = name == entry;
    } else if (ours && properties && contains(line, "bytes stack frame")) {
      resources.stackBytes = numberBefore(line, " bytes stack frame");
      resources.spillStoreBytes = numberBefore(line, " bytes spill stores");
      resources.spillLoadBytes = numberBefore(line, " bytes spill loads");
    } else if (ours && contains(line, " registers")) {
      resources.registers = numberBefore(line, " registers");
      resources.barriers = numberBefore(line, " barriers");
      resources.sharedBytes = numberBefore(line, " bytes smem");
      resources.constantBytes = numberBefore(line, " bytes cmem[0]");
    }
  }
  return resources;
}

void to_json(nlohmann::json& json, const Resources& resources) {
  json = {{"registers", resources.registers},
          {"spillStoreBytes", resources.spillStoreBytes},
          {"spillLoadBytes", resources.spillLoadBytes},
          {"stackBytes", resources.stackBytes},
          {"sharedBytes", resources.sharedBytes},
          {"constantBytes", resources.constantBytes},
          {"barriers", resources.barriers}};
}

void from_json(const nlohmann::json& json, Resources& resources) {
  resources.registers = json.value("registers", 0);
  resources.spillStoreBytes = json.value("spillStoreBytes", 0);
  resources.spillLoadBytes = json.value("spillLoadBytes", 0);
  resources.stackBytes = json.value("stackBytes", 0);
  resources.sharedBytes = json.value("sharedBytes", 0);
  resources.constantBytes = json.value("constantBytes", 0);
  resources.barriers = json.value("barriers", 0);
}

}  // namespace lathe
