#include "cache/Files.h"
#include "cache/Log.h"
#include "cache/Options.h"
#include "tuner/Record.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace lathe {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Part of every file: raise it when the meaning of a record changes.
constexpr int schema = 1;

std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

fs::path defaultFolder() {
  if (std::string given = environment("LATHE_TUNING_DIR"); !given.empty())
    return given;
  StoreOptions cache = StoreOptions::fromEnvironment();
  std::string problem;
  if (cache.root.empty())
    return {};
  if (cache.privateRoot && !privateFolder(cache.root, true, problem)) {
    logOnce(LogLevel::warn, "tuning " + cache.root.string(),
            "tuning results are not kept: " + cache.root.string() + ": " + problem);
    return {};
  }
  return cache.root / "tuning";
}

/// Held by who changes files of one folder. Where the file system has no locks, the last writer
/// wins.
class Lock {
public:
  explicit Lock(const fs::path& path) {
    makeFolders(path.parent_path());
    file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    while (file >= 0 && flock(file, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Lock() {
    if (file >= 0)
      close(file);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

private:
  int file = -1;
};

/// Calls use(the JSON of the file); false, with a warning, where it is damaged, and without one
/// where it is not there.
template <typename Use> bool readJson(const fs::path& path, const Use& use) {
  FileContent content;
  if (Errno error = readFile(path, content)) {
    if (error != ENOENT && error != ENOTDIR)
      logOnce(LogLevel::warn, "read " + path.string(),
              "tuning results in " + path.string() + " cannot be read: " + std::strerror(error));
    return false;
  }
  try {
    json whole = json::parse(content.bytes);
    if (whole.at("schema").get<int>() != schema)
      throw std::invalid_argument("its schema is " + whole.at("schema").dump() + ", not " +
                                  std::to_string(schema));
    use(whole);
    return true;
  } catch (const std::exception& error) {
    logOnce(LogLevel::warn, "damaged " + path.string(),
            "tuning results in " + path.string() + " are damaged and ignored: " + error.what());
    return false;
  }
}

void writeJson(const fs::path& path, const fs::path& scratch, const json& whole) {
  if (Errno error = publishFile(path, scratch,
                                whole.dump(1, ' ', false, json::error_handler_t::replace) + "\n"))
    logOnce(LogLevel::warn, "write " + path.string(),
            "tuning results cannot be kept in " + path.string() + ": " + std::strerror(error));
}

bool isOf(const json& whole, const DeviceInfo& gpu) {
  return whole.at("gpu").at("name") == gpu.name &&
         whole.at("gpu").at("multiprocessors") == gpu.limits.multiprocessors;
}

json header(const DeviceInfo& gpu) {
  return {{"schema", schema},
          {"gpu",
           {{"name", gpu.name},
            {"arch", gpu.limits.arch},
            {"multiprocessors", gpu.limits.multiprocessors}}}};
}

/// The trials of one problem, all buckets of it.
fs::path journalOf(const fs::path& root, const Problem& problem, const DeviceInfo& gpu) {
  return root / "trials" / gpuKey(gpu) / (problemKey(problem).substr(0, 32) + ".json");
}

bool isRejected(const json& entry) { return entry.at("trial").at("outcome") == "rejected"; }

}  // namespace

Database::Database(const std::string& folder)
    : root(folder.empty() ? defaultFolder() : fs::path(folder)) {
  const bool isDefault = folder.empty() && environment("LATHE_TUNING_DIR").empty();
  if (isDefault && StoreOptions::fromEnvironment().mode == CacheMode::readOnly) {
    layers.push_back(root);
    root.clear();
  }
  std::string text = environment("LATHE_TUNING_PATH");
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find(':', begin), text.size());
    if (end > begin)
      layers.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

fs::path Database::fileOf(const DeviceInfo& gpu) const {
  return root.empty() ? fs::path() : root / (gpuKey(gpu) + ".json");
}

std::optional<Trial> Database::find(const Problem& problem, const DeviceInfo& gpu,
                                    bool exact) const {
  const std::string key = problemKey(problem);
  const Bucket wanted = bucketOf(problem.shape);
  std::optional<Trial> found;
  int least = 0;
  std::vector<fs::path> folders = layers;
  if (!root.empty())
    folders.insert(folders.begin(), root);
  for (const fs::path& folder : folders)
    readJson(folder / (gpuKey(gpu) + ".json"), [&](const json& whole) {
      if (!isOf(whole, gpu))
        return;
      for (const json& record : whole.at("records")) {
        if (record.at("key") != key)
          continue;
        int away = distance(record.at("bucket").get<Bucket>(), wanted);
        if ((exact && away > 0) || (found && away >= least))
          continue;
        found = record.at("winner").get<Trial>();
        least = away;
      }
    });
  return found;
}

void Database::store(const Problem& problem, const DeviceInfo& gpu, const TuningResult& result) {
  if (root.empty())
    return;
  Lock lock(root / "lock");
  Trial winner;
  for (const Trial& trial : result.trials)
    if (trial.outcome == Trial::Outcome::winner)
      winner = trial;
  json record = recordOf(problem, gpu, winner), whole = header(gpu);
  json records = json::array();
  readJson(fileOf(gpu), [&](const json& before) {
    if (isOf(before, gpu))
      for (const json& old : before.at("records"))
        if (old.at("key") != record.at("key") || old.at("bucket") != record.at("bucket"))
          records.push_back(old);
  });
  records.push_back(record);
  whole["records"] = records;
  writeJson(fileOf(gpu), root / "tmp", whole);

  const fs::path journal = journalOf(root, problem, gpu);
  json kept = json::array();
  const json bucket = bucketOf(problem.shape);
  readJson(journal, [&](const json& before) {
    for (const json& entry : before.at("trials"))
      if (entry.at("bucket") != bucket || isRejected(entry))
        kept.push_back(entry);
  });
  json left = header(gpu);
  left["trials"] = kept;
  writeJson(journal, root / "tmp", left);
}

std::vector<Trial> Database::trials(const Problem& problem, const DeviceInfo& gpu) const {
  std::vector<Trial> found;
  if (root.empty())
    return found;
  const json bucket = bucketOf(problem.shape);
  readJson(journalOf(root, problem, gpu), [&](const json& whole) {
    for (const json& entry : whole.at("trials"))
      if (entry.at("bucket") == bucket || isRejected(entry))
        found.push_back(entry.at("trial").get<Trial>());
  });
  return found;
}

void Database::note(const Problem& problem, const DeviceInfo& gpu, const Trial& trial) {
  if (root.empty())
    return;
  Lock lock(root / "lock");
  const fs::path journal = journalOf(root, problem, gpu);
  const json entry = {{"bucket", bucketOf(problem.shape)}, {"trial", trial}};
  json whole = header(gpu), entries = json::array();
  readJson(journal, [&](const json& before) {
    for (const json& old : before.at("trials"))
      if (old.at("bucket") != entry.at("bucket") ||
          old.at("trial").at("tile") != entry.at("trial").at("tile"))
        entries.push_back(old);
  });
  entries.push_back(entry);
  whole["trials"] = entries;
  writeJson(journal, root / "tmp", whole);
}

}  // namespace lathe
