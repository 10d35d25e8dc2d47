#include "cache/Files.h"
#include "cache/Log.h"
#include "compiler/cpu/Pool.h"
#include "tuner/CpuTuner.h"
#include "tuner/Record.h"

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace lathe {

using nlohmann::json;

namespace {

/// Part of every file: raise it when the meaning of a record changes.
constexpr int schema = 1;

/// "cpu-amd-epyc-2": the model of the processor and how many there are.
std::string processorKey() {
  std::string model;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; model.empty() && std::getline(info, line);)
    if (line.starts_with("model name"))
      model = line.substr(line.find(':') + 1);
  std::string key = "cpu";
  for (const char c : model)
    if (std::isalnum(static_cast<unsigned char>(c)))
      key += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (key.back() != '-')
      key += '-';
  return key + "-" + std::to_string(cpu::processors());
}

std::string keyOf(const CpuProblem& problem) {
  const Problem own{&problem.variant->plan, Family::sequential, problem.signature, problem.shape};
  return problemKey(own) + (problem.isGradient ? " bwd" : " fwd");
}

/// The records of a file; none, with a warning, where it is damaged.
json recordsOf(const std::filesystem::path& path) {
  FileContent content;
  if (path.empty() || readFile(path, content) != 0)
    return json::array();
  constexpr bool throws = false;
  const json whole = json::parse(content.bytes, nullptr, throws);
  if (whole.is_object() && whole.value("schema", json()) == schema && whole.contains("records") &&
      whole.at("records").is_array())
    return whole.at("records");
  logOnce(LogLevel::warn, "damaged " + path.string(),
          "tuning results in " + path.string() + " are damaged and ignored");
  return json::array();
}

}  // namespace

std::string toString(const CpuChoice& choice) {
  std::string text =
      std::to_string(choice.threads) + (choice.threads == 1 ? " thread" : " threads");
  if (choice.slice > 0)
    text += ", slice " + std::to_string(choice.slice);
  if (choice.spacing > 0)
    text += ", spacing " + std::to_string(choice.spacing);
  return text;
}

CpuRecords::CpuRecords(const std::string& folder) {
  const std::filesystem::path any = Database(folder).fileOf({});
  if (!any.empty())
    path = any.parent_path() / (processorKey() + ".json");
}

std::optional<CpuChoice> CpuRecords::find(const CpuProblem& problem, bool exact) const {
  const std::string key = keyOf(problem);
  const Bucket wanted = bucketOf(problem.shape);
  std::optional<CpuChoice> found;
  int least = 0;
  try {
    for (const json& record : recordsOf(path)) {
      if (record.at("key") != key)
        continue;
      const int away = distance(record.at("bucket").get<Bucket>(), wanted);
      if ((exact && away > 0) || (found && away >= least))
        continue;
      const json& winner = record.at("winner");
      found = CpuChoice{winner.at("threads").get<int>(), winner.at("slice").get<int>(),
                        winner.at("spacing").get<int>()};
      least = away;
    }
  } catch (const json::exception& error) {
    logOnce(LogLevel::warn, "damaged " + path.string(),
            "tuning results in " + path.string() + " are damaged and ignored: " + error.what());
    return std::nullopt;
  }
  return found;
}

void CpuRecords::store(const CpuProblem& problem, const CpuTuningResult& result) {
  if (path.empty())
    return;
  const CpuChoice& winner = result.winner;
  const json record = {{"key", keyOf(problem)},
                       {"bucket", bucketOf(problem.shape)},
                       {"variant", problem.variant->name},
                       {"pass", problem.isGradient ? "bwd" : "fwd"},
                       {"dims", problem.signature.dims},
                       {"winner",
                        {{"threads", winner.threads},
                         {"slice", winner.slice},
                         {"spacing", winner.spacing},
                         {"microseconds", result.microseconds},
                         {"mad", result.mad}}}};
  json records = json::array();
  for (const json& old : recordsOf(path))
    if (old.contains("key") &&
        (old.at("key") != record.at("key") || old.value("bucket", json()) != record.at("bucket")))
      records.push_back(old);
  records.push_back(record);
  const json whole = {{"schema", schema}, {"records", records}};
  makeFolders(path.parent_path());
  if (const Errno error = publishFile(path, path.parent_path() / "tmp", whole.dump(1) + "\n"))
    logOnce(LogLevel::warn, "write " + path.string(),
            "tuning results cannot be kept in " + path.string() + ": " + std::strerror(error));
}

CpuChoice chooseCpu(const CpuProblem& problem, const CpuRecords& records) {
  const char* tuning = std::getenv("LATHE_TUNING");
  if (tuning && std::strcmp(tuning, "off") == 0)
    return {};
  return records.find(problem).value_or(CpuChoice());
}

}  // namespace lathe
